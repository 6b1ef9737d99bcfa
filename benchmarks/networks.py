"""Adapting many networks: what `adapt` finds in each, what each costs, and whether it leaves Python.

    python benchmarks/networks.py [NAME ...] [--rounds 15] [--page docs/networks.md] [--cache FILE] [--anew]

Needs timm, torchvision, transformers and onnxruntime; weights are random. Every network is written into the cache as
soon as it is measured: a run that was stopped goes on there. `--anew` measures those named (default: all) again.
"""

from __future__ import annotations

import argparse
import copy
import gc
import json
import re
import sys
import time
import warnings
from collections.abc import Callable, Iterable
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from network_zoo import NAMES, build
from run import processor
from torch import nn

from sketchkit import AdaptedModel, AdaptError, SketchkitError, adapt, atomic
from sketchkit.adapters import latency

from contest import Table, markdown

CANVASES = (32, 64, 128, 256)
# Tried where none of the canvases can be taken.
_FIXED = (224, 240, 256, 192, 384)
ROOT = Path(__file__).parents[1]
PAGE, CACHE = ROOT / "docs" / "networks.md", ROOT / ".make" / "networks.json"
TOP = """# Networks

Made by `make networks`: what `adapt` finds in each network by looking at what runs. No network is
known by its name. Weights are random (none are needed to see whether a network can be adapted), so nothing here tells
how good its embeddings are.

In the first table *form* is what the network gives out without its classifier (`adapt` averages maps and tokens,
features stay as they are), *declared* the width that timm states for it ("-": it states none), and *same as timm*
whether timm's own features come out. How the latter two were found is said below that table.
"""
HEADER = ("network", "adapted", "taken off", "form", "width", "declared", "same as timm", "canvases", "params, M")
COSTS = (
    "network",
    *(f"MFLOPs at {size}" for size in CANVASES),
    *(f"ms at {size}" for size in CANVASES),
    "own size",
    "ONNX",
)


def main() -> None:
    """Measure what is not in the cache, and write the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", help="parts of names (default: every network)")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--page", type=Path, default=PAGE)
    parser.add_argument("--cache", type=Path, default=CACHE)
    parser.add_argument("--anew", action="store_true")
    arguments = parser.parse_args()
    chosen = [name for name in NAMES if not arguments.names or any(part in name for part in arguments.names)]
    # Else each network would be refused for it, and the refusal kept in the cache.
    if absent := [package for package in _needed(chosen) if not find_spec(package)]:
        parser.error(
            f"not installed: {', '.join(absent)}; `make networks` installs what requirements-networks.txt names"
        )
    known = _measured(chosen, arguments.rounds, arguments.cache, arguments.anew)
    atomic.write_text(arguments.page, page(known))


def _needed(names: Iterable[str]) -> tuple[str, ...]:
    """The packages that build and run these networks, beside torch."""
    origins = {name.partition(" ")[0] for name in names}
    # timm imports torchvision, and so does transformers where it is installed.
    if origins & {"timm", "transformers"}:
        origins.add("torchvision")
    return (*(package for package in ("timm", "torchvision", "transformers") if package in origins), "onnxruntime")


def tables(rounds: int) -> list[Table]:
    """Both tables of all networks; those in the cache are not measured again."""
    return _tables(_measured(list(NAMES), rounds, CACHE, anew=False))


def page(known: dict[str, dict[str, Any]]) -> str:
    """The whole page."""
    adapted = sum(not row["refused"] for row in known.values())
    some = sum(bool(row["refused"] and row["canvases"]) for row in known.values())
    counts = (
        f"Of {len(known)} networks, {adapted} are adapted to all of the canvases {', '.join(map(str, CANVASES))}; "
        f"{some} are refused these, and adapted to those that the sentence names; {len(known) - adapted - some} "
        "cannot be adapted here."
    )
    packages = ("torch", *_needed(known))
    versions = f"{', '.join(f'{package} {version(package)}' for package in packages)}; {processor()}; one thread."
    return "\n".join([TOP, counts, "", versions, "", *(markdown(table, 2) for table in _tables(known))])


def measure(name: str, rounds: int) -> dict[str, Any]:
    """All that the tables say of one network."""
    torch.manual_seed(0)
    network = build(name)
    row: dict[str, Any] = {"refused": "", "canvases": [], "onnx": "-", "same": "-", "declared": None}
    try:
        adapted = adapt(network, canvases=CANVASES)
        row["canvases"] = list(CANVASES)
    except AdaptError as error:
        row["refused"] = str(error)
        row["canvases"] = [size for size in CANVASES if _takes(network, size)]
        adapted = _adapted(network, row["canvases"])
        row["canvases"] = [canvas.size for canvas in adapted.canvases]
    summary = adapted.summary()
    row |= {
        "classifier": list(summary.classifier),
        "form": summary.output_form,
        "width": summary.feature_width,
        "params": summary.params / 1e6,
        "flops": {str(size): flops / 1e6 for size, flops in summary.flops.items()},
    }
    if name.startswith("timm "):
        row["declared"] = _declared(network)
        row["same"] = _same_as_timm(network, adapted)
    row["ms"] = {str(canvas.size): _milliseconds(adapted, canvas.size, rounds) for canvas in adapted.canvases}
    row["onnx"] = onnx_difference(adapted, adapted.canvases[0].size)
    return row


def onnx_difference(adapted: AdaptedModel, size: int) -> str:
    """The largest difference of embeddings between torch and ONNX Runtime, or why there is none.

    By the exporter alone: `AdaptedModel.export` tries more ways and every size, which takes minutes for some networks.
    """
    import onnxruntime

    images = torch.rand(2, adapted.description.channels, size, size)
    try:
        program = torch.onnx.export(adapted.float(), (images,), dynamo=True, verbose=False)
        content = program.model_proto.SerializeToString()
        session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
        (found,) = session.run(None, {session.get_inputs()[0].name: images.numpy()})
    except Exception as error:  # exporters fail in every way
        return f"- ({type(error).__name__}: {_short(str(error))})"
    with torch.no_grad():
        return f"{(adapted(images) - torch.from_numpy(found)).abs().max().item():.1e}"


def _adapted(network: nn.Module, canvases: list[int]) -> AdaptedModel:
    """With the canvases that it takes, or with its photos' size as the only one."""
    if canvases:
        return adapt(network, canvases=canvases)
    fixed = next((size for size in _FIXED if _takes(network, size)), _FIXED[0])
    return adapt(network, canvases=(fixed,), photo_size=fixed)


def _takes(network: nn.Module, size: int) -> bool:
    try:
        adapt(network, canvases=(size,))
    except AdaptError:
        return False
    return True


def _declared(network: nn.Module) -> list[int]:
    """The widths that timm declares: of the last map, and of what goes into the classifier."""
    found = (getattr(network, name, None) for name in ("num_features", "head_hidden_size"))
    return sorted({value for value in found if isinstance(value, int)})


@torch.no_grad()
def _same_as_timm(network: nn.Module, adapted: AdaptedModel) -> str:
    """Whether timm's own features before its classifier are ours, by two ways of timm."""
    inputs = torch.rand(2, 3, *[adapted.canvases[-1].size] * 2)
    ours = adapted.backbone(inputs)
    reasons = []
    for way in (_before_logits, _without_classes):
        try:
            theirs = way(network, inputs)
        except Exception as error:  # not every network of timm has both ways
            reasons.append(_short(str(error)))
            continue
        theirs = theirs.mean((2, 3)) if theirs.ndim == 4 else theirs
        if theirs.shape != ours.shape:
            reasons.append(f"{theirs.shape[1]} wide there")
            continue
        difference = ((theirs - ours).abs().max() / theirs.abs().max().clamp_min(1e-12)).item()
        if difference < 1e-4:
            return "yes"
        reasons.append(f"differs by {difference:.0e}")
    return f"no: {'; '.join(dict.fromkeys(reasons))}"


def _before_logits(network: Any, inputs: torch.Tensor) -> torch.Tensor:
    found: torch.Tensor = network.forward_head(network.forward_features(inputs), pre_logits=True)
    return found


def _without_classes(network: Any, inputs: torch.Tensor) -> torch.Tensor:
    bare = copy.deepcopy(network)
    bare.reset_classifier(0)
    found: torch.Tensor = bare.eval()(inputs)
    return found


def _milliseconds(adapted: AdaptedModel, size: int, rounds: int) -> float:
    inputs = torch.rand(1, adapted.description.channels, size, size).contiguous(memory_format=torch.channels_last)
    with torch.no_grad():
        return latency(lambda: adapted(inputs), repeats=rounds, warmup=2).median


def _measured(names: list[str], rounds: int, cache: Path, anew: bool) -> dict[str, dict[str, Any]]:
    """The rows of all networks that were ever measured, those of `names` among them."""
    torch.set_num_threads(1)
    warnings.simplefilter("ignore")
    known: dict[str, dict[str, Any]] = json.loads(cache.read_text("utf-8")) if cache.exists() else {}
    cache.parent.mkdir(exist_ok=True)
    todo = [name for name in names if anew or name not in known]
    for place, name in enumerate(todo, 1):
        print(f"{place}/{len(todo)} {name} ...", file=sys.stderr, end=" ", flush=True)
        start = time.perf_counter()
        known[name] = _attempt(lambda name=name: measure(name, rounds))
        print(f"{time.perf_counter() - start:.0f} s {known[name]['refused']}", file=sys.stderr, flush=True)
        atomic.write_text(cache, json.dumps(known, indent=1))
        gc.collect()
    return {name: known[name] for name in NAMES if name in known}


def _attempt(run: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """One network that fails must not end the table."""
    try:
        return run()
    except SketchkitError as error:
        return {"refused": str(error), "canvases": []}
    except Exception as error:  # a network of another package may fail in any way
        return {"refused": f"{type(error).__name__}: {_short(str(error))}", "canvases": []}


def _tables(known: dict[str, dict[str, Any]]) -> list[Table]:
    found = Table(
        "What is found",
        HEADER,
        [_found(name, row) for name, row in known.items()],
        "Adapted: to the canvases 32, 64, 128 and 256; else the sentence of the refusal, and the other columns are of "
        "the canvases that remain (the network's own size where none of the four does). Declared: timm's "
        "`num_features` and `head_hidden_size`, beside the width found. Same as timm: our features against timm's "
        "`forward_head(..., pre_logits=True)` and its network without classes, on the same weights and images, within "
        "1e-4 of the largest. By design ours differ where a layer between features and scores stays or goes (a norm "
        "before the classifier stays, a hidden linear layer goes), and where maps are averaged that timm flattens.",
    )
    costs = Table(
        "What it costs",
        COSTS,
        [_costs(name, row) for name, row in known.items() if row["canvases"]],
        "FLOPs in the paper's convention, of one image. Milliseconds: one image, one thread, median. ONNX: the largest "
        "difference of embeddings between torch and ONNX Runtime on the smallest canvas.",
    )
    return [found, costs]


def _found(name: str, row: dict[str, Any]) -> list[str]:
    said = "yes" if not row["refused"] else f"refused: {_cell(row['refused'])}"
    if not row["canvases"]:
        return [name, said, *["-"] * (len(HEADER) - 2)]
    declared = row["declared"]
    matches = "-" if not declared else ", ".join(map(str, declared))
    if declared and row["width"] not in declared:
        matches += " (mismatch)"
    return [
        name,
        said,
        ", ".join(row["classifier"]) or "nothing",
        row["form"],
        str(row["width"]),
        matches,
        _cell(row["same"]),
        ", ".join(map(str, row["canvases"])),
        f"{row['params']:.2f}",
    ]


def _costs(name: str, row: dict[str, Any]) -> list[str]:
    shown = [f"{row['flops'][str(size)]:,.1f}" if str(size) in row["flops"] else "-" for size in CANVASES]
    times = [f"{row['ms'][str(size)]:.1f}" if str(size) in row["ms"] else "-" for size in CANVASES]
    own = [
        f"{size} px: {flops:,.1f} MFLOPs, {row['ms'][size]:.1f} ms"
        for size, flops in row["flops"].items()
        if int(size) not in CANVASES
    ]
    return [name, *shown, *times, *(own or ["-"]), _cell(row["onnx"])]


def _cell(text: str) -> str:
    return re.sub(r"\x1b\[\d+m", "", text).replace("|", "\\|").replace("\n", " ")


def _short(text: str) -> str:
    """The first sentence of a message."""
    line = re.sub(r"\x1b\[\d+m", "", (text.strip().splitlines() or [""])[0])
    return line.partition(". ")[0][:120]


if __name__ == "__main__":
    main()
