from __future__ import annotations

import ast
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

import sketchkit
from sketchkit import Sketch, SketchSet, adapt, rasterize
from sketchkit.adapters import hard_triplet_loss, parameter_groups, scale_averaged

from models import pooled

SCRIPT = Path(__file__).parent / "scripts" / "train_by_hand.py"


def test_the_script_is_short_and_uses_public_names_alone() -> None:
    text = SCRIPT.read_text(encoding="utf-8")
    assert len(text.splitlines()) <= 40
    tree = ast.walk(ast.parse(text))
    modules = {node.module for node in tree if isinstance(node, ast.ImportFrom)}
    assert modules == {"sketchkit"}
    names = set(re.findall(r"\bsk\.(\w+)", text))
    assert names <= set(sketchkit.adapters.__all__)


def test_the_script_adapts_distils_and_selects() -> None:
    environment = {
        **os.environ,
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, [*map(str, _roots()), os.environ.get("PYTHONPATH")])),
    }
    code = f"import runpy, sys; runpy.run_path({str(SCRIPT)!r}); print('sketchkit.recipes' in sys.modules)"
    command = [sys.executable, "-P", "-W", "error", "-c", code]
    if sys.version_info < (3, 11):
        command.remove("-P")
    run = subprocess.run(command, capture_output=True, text=True, check=False, env=environment)
    assert run.returncode == 0, run.stderr
    *lines, right, imported = run.stdout.splitlines()
    assert imported == "False"
    losses: dict[str, list[float]] = {}
    for line in lines:
        name, _, loss = line.split()
        losses.setdefault(name, []).append(float(loss))
    assert set(losses) == {"teacher", "student", "selector"}
    assert sum(losses["teacher"][-5:]) < sum(losses["teacher"][:5])
    assert sum(losses["student"][-5:]) < 0.7 * sum(losses["student"][:5])
    # Chance is one right of 32.
    assert int(re.findall(r"\d+", right)[0]) >= 4


def _roots() -> list[Path]:
    """Where sketchkit itself was found, for a program that starts elsewhere."""
    return [Path(sketchkit.__file__).parents[1]]


def _pairs() -> tuple[SketchSet, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    strokes = (100 * torch.rand(5, 2, generator=generator).numpy() for _ in range(16))
    drawings = SketchSet.from_sketches(Sketch.from_strokes([stroke]) for stroke in strokes)
    return drawings, torch.from_numpy(255 - rasterize(drawings, 32))[:, None].expand(-1, 3, -1, -1)


def _losses(model: Any, optimizer: Any, backward: Any) -> list[float]:
    drawings, photos = _pairs()
    losses = []
    for _ in range(12):
        images = model.embed_photos(photos)
        loss = scale_averaged(
            lambda size, images=images: hard_triplet_loss(model.embed_sketches(drawings, size), images, margin=0.5),
            (32, 64),
        )
        optimizer.zero_grad()
        backward(loss)
        optimizer.step()
        losses.append(loss.item())
    return losses


def _made() -> tuple[Any, torch.optim.Optimizer]:
    torch.manual_seed(0)
    adapted = adapt(pooled(), canvases=(32, 64), photo_size=32).train()
    return adapted, torch.optim.AdamW(parameter_groups(adapted, lr=1e-2))


def test_the_same_loop_in_lightning_fabric() -> None:
    fabric_module = pytest.importorskip("lightning_fabric", reason="lightning-fabric is not installed")
    by_hand = _losses(*_made(), lambda loss: loss.backward())
    fabric = fabric_module.Fabric(accelerator="cpu", devices=1)
    model, optimizer = fabric.setup(*_made())
    for name in ("embed_photos", "embed_sketches"):
        model.mark_forward_method(name)
    assert _losses(model, optimizer, fabric.backward) == pytest.approx(by_hand, rel=1e-4)
    assert by_hand[-1] < by_hand[0]


def test_the_same_loop_in_accelerate() -> None:
    accelerate = pytest.importorskip("accelerate", reason="accelerate is not installed")
    by_hand = _losses(*_made(), lambda loss: loss.backward())
    accelerator = accelerate.Accelerator(cpu=True)
    model, optimizer = accelerator.prepare(*_made())
    found = _losses(accelerator.unwrap_model(model), optimizer, accelerator.backward)
    assert found == pytest.approx(by_hand, rel=1e-4)
