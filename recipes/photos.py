"""Photos from files to pixels."""

from __future__ import annotations

import io
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

from sketchkit.errors import DataError, MissingDataError

__all__ = ["IMAGES", "check_photos", "is_hidden", "load_photo", "load_photos", "on_white", "photo_files"]

IMAGES = (".png", ".jpg", ".jpeg")
"""Suffixes of files of pixels."""

_SUFFIXES = (*IMAGES, ".svg")


def photo_files(folder: Path | str, *, nested: bool = False) -> tuple[Path, ...]:
    """The photos in a folder, sorted by name.

    Args:
        folder: its PNG, JPEG and SVG files count.
        nested: those of the folders in it do too.

    Raises:
        MissingDataError: there is no such folder, or no photo in it.
    """
    pattern = "**/*" if nested else "*"
    paths = [path for path in Path(folder).glob(pattern) if path.suffix.lower() in _SUFFIXES]
    found = tuple(sorted(path for path in paths if not is_hidden(path, folder)))
    if not found:
        raise MissingDataError(f"{folder}: no photos there ({', '.join(_SUFFIXES)})")
    return found


def check_photos(paths: Iterable[Path]) -> None:
    """Look at the head of each photo, so that a bad one is found before a training, not after.

    Args:
        paths: SVG files are passed over.

    Raises:
        MissingDataError: a photo is not there.
        DataError: a file is no picture.
    """
    for path in paths:
        if path.suffix.lower() == ".svg":
            continue
        try:
            with Image.open(path):
                pass
        except FileNotFoundError:
            raise MissingDataError(f"{path}: no such photo") from None
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
            raise DataError(f"{path}: not a picture that can be read: {error}") from None


def load_photos(paths: Iterable[Path | str], size: int) -> NDArray[np.uint8]:
    """Photos as (photos, 3, size, size) uint8; see `load_photo`."""
    loaded = [load_photo(path, size) for path in paths]
    return np.stack(loaded) if loaded else np.zeros((0, 3, size, size), np.uint8)


def load_photo(path: Path | str, size: int) -> NDArray[np.uint8]:
    """One photo on a white ground, (3, size, size) uint8 RGB.

    A photo that is not square is centered on a white square first, so that nothing is stretched or cut off.

    Args:
        path: PNG, JPEG or SVG.
        size: side in pixels.

    Raises:
        MissingDataError: no such file.
        DataError: the file is no picture.
    """
    pixels = on_white(path, size).resize((size, size), Image.Resampling.BILINEAR, reducing_gap=2.0)
    return np.ascontiguousarray(np.asarray(pixels).transpose(2, 0, 1))


def on_white(path: Path | str, size: int = 256) -> Image.Image:
    """A picture in RGB, centered on a white square, turned as its EXIF says.

    Args:
        path: PNG, JPEG or SVG.
        size: at which an SVG file is drawn.

    Raises:
        MissingDataError: no such file.
        DataError: the file is no picture, or has more than 8 bits a channel.
    """
    path = Path(path)
    if not path.is_file():
        raise MissingDataError(f"{path}: no such photo")
    try:
        source = io.BytesIO(_render_svg(path, size)) if path.suffix.lower() == ".svg" else path
        with Image.open(source) as opened:
            if opened.mode.startswith("I"):
                raise ValueError("more than 8 bits a channel; save it with 8")
            picture = ImageOps.exif_transpose(opened).convert("RGBA")  # a phone says in EXIF how it was held
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError) as error:
        raise DataError(f"{path}: not a picture that can be read: {error}") from None
    side = max(picture.size)
    ground = Image.new("RGBA", (side, side), "white")
    ground.alpha_composite(picture, ((side - picture.width) // 2, (side - picture.height) // 2))
    return ground.convert("RGB")


def is_hidden(path: Path, folder: Path | str) -> bool:
    """Whether a `path` in a `folder` is hidden there, or in a hidden folder: its name begins with a dot."""
    return any(part.startswith(".") for part in path.relative_to(folder).parts)


def _render_svg(path: Path, size: int) -> bytes:
    """PNG bytes of an SVG drawn at `size`."""
    import resvg_py

    return bytes(
        resvg_py.svg_to_bytes(
            svg_string=path.read_text(encoding="utf-8"), width=size, height=size, skip_system_fonts=True
        )
    )
