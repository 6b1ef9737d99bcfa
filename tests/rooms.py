"""The three rooms as the checkout holds them: source files, and the module names they install under."""

from __future__ import annotations

import shutil
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parent.parent
ROOMS = {"sketchkit": "sketchkit", "sketchkit.adapters": "adapters", "sketchkit.recipes": "recipes"}


def modules() -> dict[str, Path]:
    """Installed module name -> its source file, for every module of the three rooms."""
    found = {}
    for package, folder in ROOMS.items():
        root = REPOSITORY / folder
        for path in sorted(root.rglob("*.py")):
            parts = path.relative_to(root).with_suffix("").parts
            found[".".join([package, *parts]).removesuffix(".__init__")] = path
    return found


def copy_as_installed(target: Path) -> Path:
    """Copy the rooms to `target/sketchkit`, laid out as a wheel lays them out."""
    ignore = shutil.ignore_patterns("__pycache__")
    for package, folder in ROOMS.items():
        shutil.copytree(REPOSITORY / folder, target.joinpath(*package.split(".")), ignore=ignore)
    return target / "sketchkit"
