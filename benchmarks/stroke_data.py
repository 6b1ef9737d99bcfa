"""The drawings that benchmarks are run on, and how they are named on the command line."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import numpy as np

import sketchkit
from sketchkit import SketchSet

__all__ = ["argument_parser", "default_file", "made_drawings", "shared_data", "stroke_drawings"]


def shared_data() -> Path:
    """The folder of real data: SKETCHKIT_DATA, or ../shared/data beside the checkout; it need not exist."""
    return Path(os.environ.get("SKETCHKIT_DATA", Path(__file__).parents[2] / "shared" / "data"))


def argument_parser(description: str | None, *, rounds: int) -> argparse.ArgumentParser:
    """The options that all stroke benchmarks have."""
    parser = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sketches", type=int, default=64, help="how many drawings (default 64)")
    parser.add_argument("--rounds", type=int, default=rounds, help=f"how often each is timed (default {rounds})")
    parser.add_argument("--data", type=Path, default=default_file(), help="any stroke file")
    return parser


def default_file() -> Path:
    """ChairV2 in the folder of real data; it need not be there."""
    return shared_data() / "chairv2" / "ChairV2_Coordinate"


def stroke_drawings(path: Path, count: int) -> SketchSet:
    """The first `count` drawings of a file; where it is not there, made ones of like length, and it says so."""
    if path.exists():
        return sketchkit.read(path)[:count]
    print(f"{path} is not there: made drawings", file=sys.stderr)
    return made_drawings(count)


def made_drawings(count: int) -> SketchSet:
    """Random walks of 10 strokes of 11 points each, as long as ChairV2's."""
    generator = np.random.default_rng(0)
    return SketchSet.from_sketches(
        sketchkit.Sketch.from_strokes(np.cumsum(generator.normal(0, 8, (10, 11, 2)), axis=1)) for _ in range(count)
    )
