"""What networks cost by our counter, beside torch's, beside what torchvision publishes, and beside the paper.

    python benchmarks/costs.py [ROUNDS]   torchvision's rows need torchvision

torch's FlopCounterMode counts twice the multiply-adds of products and convolutions; torchvision states multiply-adds
in its weights' metadata, in units of 10^9, at the size of its evaluation. Nothing is downloaded.
"""

from __future__ import annotations

import sys
from typing import Any

import torch
from network_zoo import import_torchvision
from torch.utils.flop_counter import FlopCounterMode

from sketchkit.adapters import mobilenet_v2, vgg16
from sketchkit.adapters.cost import cost

from contest import Table, contest, markdown

_PAPER = {
    "VGG-16 trunk": (lambda: vgg16().features, 40.1759),
    "MobileNetV2 trunk": (lambda: mobilenet_v2().features, 0.8332),
}
# All of torchvision's classification networks but the largest, which would only take memory.
_LARGEST = 100e6


def tables(rounds: int) -> list[Table]:
    """The paper's figures, torchvision's, and the time that counting takes."""
    return [_paper(), _torchvision(), _time(rounds)]


def _paper() -> Table:
    rows = []
    for name, (build, stated) in _PAPER.items():
        with torch.device("meta"):
            found = cost(build(), 256)
        rows.append([name, f"{stated:.4f}", f"{found.flops / 1e9:.4f}", f"{found.macs / 1e9:.4f}", f"{found.params:,}"])
    header = ["network at 256 px", "paper, GFLOPs", "ours, GFLOPs", "ours, GMACs", "parameters"]
    return Table("The paper's convention", header, rows, "FLOPs as arXiv 2505.23763 counts them; see `cost`.")


def _torchvision() -> Table:
    header = [
        "network",
        "size",
        "torchvision, GMACs",
        "ours, GMACs",
        "torch's counter / 2",
        "difference to torchvision",
    ]
    try:
        torchvision = import_torchvision()
    except (ImportError, RuntimeError) as error:
        return Table("torchvision's figures", header, [[f"not installed here: {error}", "", "", "", "", ""]], "")
    rows = []
    for name in torchvision.models.list_models(module=torchvision.models):
        weights = torchvision.models.get_model_weights(name).DEFAULT
        if weights.meta["num_params"] > _LARGEST:
            continue
        size = weights.transforms().crop_size[0]
        network = torchvision.models.get_model(name, weights=None, **_quiet(name)).eval()
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            network.to("meta")(torch.zeros(1, 3, size, size, device="meta"))
        found, stated = cost(network, size).macs / 1e9, weights.meta["_ops"]
        theirs = counter.get_total_flops() / 2e9
        rows.append([name, str(size), f"{stated:.3f}", f"{found:.3f}", f"{theirs:.3f}", f"{found / stated - 1:+.1%}"])
    alike = sum(abs(float(row[-1].rstrip("%"))) <= 1 for row in rows)
    exact = sum(row[3] == row[4] for row in rows)
    return Table(
        "torchvision's figures",
        header,
        rows,
        f"{alike} of {len(rows)} within 1 % of what torchvision states; {exact} equal torch's counter in the digits.",
    )


def _quiet(name: str) -> dict[str, Any]:
    return {"init_weights": False} if name in ("googlenet", "inception_v3") else {}


def _time(rounds: int) -> Table:
    network = mobilenet_v2().eval()
    images = torch.zeros(1, 3, 256, 256)

    def theirs() -> None:
        with FlopCounterMode(display=False), torch.no_grad():
            network(images)

    times = contest(
        {"ours, on shapes alone": lambda: cost(network, 256), "FlopCounterMode, a real pass": theirs}, rounds
    )
    first = times["ours, on shapes alone"].wall
    rows = [[name, f"{each.wall * 1e3:.0f}", f"{each.wall / first:.2f}"] for name, each in times.items()]
    return Table("Counting MobileNetV2 at 256 px", ["counter", "ms", "time against ours"], rows, "All threads.")


def main() -> None:
    """Print the tables."""
    for table in tables(int(sys.argv[1]) if len(sys.argv) > 1 else 15):
        print(markdown(table))


if __name__ == "__main__":
    main()
