"""Strokes out of an image, of a drawing or of a photo's edges: thin lines, followed straight on across crossings."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from sketchkit.errors import DataError, ParameterError
from sketchkit.kernels.skeleton import chains, neighbor_counts, thin
from sketchkit.simplifying import simplify
from sketchkit.sketch import Sketch

__all__ = ["trace", "trace_edges"]

# A stroke goes on across a crossing where it turns by less than 60 degrees.
_STRAIGHT = -0.5
# In widths of the ink: the longest bridge between two places where thinned lines meet that is taken for one crossing.
_BRIDGE = 1.5
# Luma of ITU-R BT.601, as Pillow's "L".
_LUMA = np.array([0.299, 0.587, 0.114])
# Of gray values a pixel, times 8 as Sobel's filter counts: below is noise, of JPEG for instance.
_NOISE = 20.0


def trace(image: NDArray[np.generic], *, threshold: float = 0.5, tolerance: float = 0.75) -> Sketch:
    """Make strokes of an image of a line drawing, such as Sketchy's PNG files.

    Ink is thinned to lines, with as many pieces and holes as before. A line that comes to a crossing goes on in the one
    that turns least away from it, by less than 60 degrees, or in the only one there is. Whiskers shorter than the ink
    is wide where they leave it are left out, but every piece of ink gets a stroke. In which order and direction
    somebody drew is not in an image: strokes come from top to bottom, each from its upper end.

    Args:
        image: (height, width) or (height, width, 3), uint8, dark ink on light ground; or (height, width), bool, ink.
        threshold: how dark ink is, from 0 (nothing but white is ground) to 1 (nothing but black is ink).
        tolerance: how far points that are left out may lie from the lines, in pixels; see `simplify`.

    Returns:
        A drawing in pixels, the middle of the first pixel at (0.5, 0.5).

    Raises:
        DataError: the image is of another shape or type.
        ParameterError: `threshold` is not from 0 to 1, or `tolerance` below 0.

    Example:
        >>> image = np.full((7, 9), 255, np.uint8)
        >>> image[3, 1:8] = image[1:6, 4] = 0
        >>> [stroke.tolist() for stroke in trace(image).strokes]
        [[[4.5, 1.5], [4.5, 5.5]], [[1.5, 3.5], [7.5, 3.5]]]
    """
    if not 0 <= threshold <= 1:
        raise ParameterError(f"threshold must be from 0 to 1, not {threshold}")
    ink = np.pad(_ink(image, threshold), 1).astype(np.uint8)
    line = ink.copy()
    thin(line)
    if not line.any():
        return simplify(Sketch.from_strokes([]), tolerance)
    lines = _Lines.of(line, 2 * ndimage.distance_transform_edt(ink) - 1)
    # The border is one pixel, and a pixel's middle half of one.
    strokes = sorted((_downwards(stroke[:, ::-1]) - 0.5 for stroke in lines.strokes()), key=_place)
    return simplify(Sketch.from_strokes(strokes), tolerance)


def trace_edges(
    photo: NDArray[np.generic], *, sigma: float = 1.5, share: float = 0.4, tolerance: float = 0.75
) -> Sketch:
    """Make a line drawing of a photo: where its brightness changes most, traced to strokes.

    Of an object on a plain ground these are its outline and its inner edges, much as somebody would draw them. The
    gradient is Sobel's (1968); what is steep is thinned and followed as by `trace`.

    Args:
        photo: (height, width, 3) or (height, width), uint8.
        sigma: of the Gaussian that smooths it first, in pixels: small texture goes.
        share: of the pixels where the brightness changes at all, how many become ink, 0 to 1.
        tolerance: see `trace`.

    Returns:
        A drawing in pixels, the middle of the first pixel at (0.5, 0.5); without strokes where nothing changes.

    Raises:
        DataError: the photo is of another shape or type.
        ParameterError: `sigma` or `tolerance` is below 0, or `share` not from 0 to 1.

    Example:
        >>> photo = np.full((64, 64, 3), 255, np.uint8)
        >>> photo[16:48, 16:48] = (200, 40, 40)
        >>> len(trace_edges(photo).strokes)  # the square's outline
        1
    """
    if not (math.isfinite(sigma) and sigma >= 0):
        raise ParameterError(f"sigma must be 0 or more, not {sigma}")
    if not 0 <= share <= 1:
        raise ParameterError(f"share must be from 0 to 1, not {share}")
    gray = ndimage.gaussian_filter(_gray(photo), sigma)
    steep = np.hypot(ndimage.sobel(gray, 0), ndimage.sobel(gray, 1))
    changing = steep[steep > _NOISE / 5]
    least = max(float(np.quantile(changing, 1 - share)), _NOISE) if len(changing) else np.inf
    return trace(steep > least, tolerance=tolerance)


def _ink(image: NDArray[np.generic], threshold: float) -> NDArray[np.bool_]:
    pixels = np.asarray(image)
    if pixels.dtype == np.bool_ and pixels.ndim == 2:
        return pixels
    return np.asarray(_gray(pixels) <= 254 * (1 - threshold))


def _gray(image: NDArray[np.generic]) -> NDArray[np.float64]:
    pixels = np.asarray(image)
    if pixels.dtype != np.uint8 or pixels.ndim not in (2, 3) or (pixels.ndim == 3 and pixels.shape[2] != 3):
        raise DataError(
            f"an image must be (height, width) or (height, width, 3) in uint8, or (height, width) of ink in bool, not "
            f"{pixels.shape} in {pixels.dtype}"
        )
    return np.asarray(pixels if pixels.ndim == 2 else pixels @ _LUMA, np.float64)


@dataclass(frozen=True, eq=False)
class _Lines:
    """A thinned drawing as a graph.

    Args:
        chains: (pixels, 2) rows and columns each; of a ring the first pixel stands at its end too.
        crossings: (2,) for both ends of each chain, the number of the crossing there; 0 for none.
        centers: (crossings + 1, 2), the first one not used.
        widths: (crossings + 1,) of the ink there, in pixels.
    """

    chains: list[NDArray[np.int64]]
    crossings: list[tuple[int, int]]
    centers: NDArray[np.float64]
    widths: NDArray[np.float64]

    @classmethod
    def of(cls, line: NDArray[np.uint8], width: NDArray[np.float64]) -> _Lines:
        """The graph of a thinned `line` without whiskers; `width` is of the ink around each pixel."""
        counts = neighbor_counts(line)
        pixels, offsets = chains(line, counts)
        every = np.split(pixels, offsets[1:-1])
        crossing = counts > 2
        for chain in every:
            if _is_bridge(chain, counts, width):
                crossing[chain[:, 0], chain[:, 1]] = True
        places, count = ndimage.label(crossing, np.ones((3, 3)))
        numbers = np.arange(count + 1)
        centers, widths = np.zeros((count + 1, 2)), np.zeros(count + 1)
        if count:
            centers[1:] = ndimage.center_of_mass(crossing, places, numbers[1:])
            widths[1:] = ndimage.mean(width, places, numbers[1:])
        found = [(int(places[tuple(chain[0])]), int(places[tuple(chain[-1])])) for chain in every]
        spare = [
            bool(places[chain[:, 0], chain[:, 1]].all())
            or ((one == 0) != (other == 0) and len(chain) <= widths[max(one, other)])
            for chain, (one, other) in zip(every, found, strict=True)
        ]
        # What is left of a blot may be whiskers alone: the longest then stands for it, or it would be gone.
        pieces = ndimage.label(line, np.ones((3, 3)))[0]
        longest: dict[int, int] = {}
        for index in sorted(range(len(every)), key=lambda each: (not spare[each], len(every[each]))):
            longest[int(pieces[tuple(every[index][0])])] = index
        kept = [index for index, gone in enumerate(spare) if not gone or index in longest.values()]
        return cls([every[index] for index in kept], [found[index] for index in kept], centers, widths)

    def strokes(self) -> Iterator[NDArray[np.float64]]:
        """(points, 2) rows and columns: chains, joined where one goes straight on into another."""
        joints, left = self._joints, set(range(len(self.chains)))
        # Open strokes from one of their ends; what is left then are closed ones.
        firsts = [(chain, end) for chain in sorted(left) for end in (0, 1) if (chain, end) not in joints]
        for first in [*firsts, *((chain, 0) for chain in sorted(left))]:
            if first[0] in left:
                yield np.concatenate(list(self._walk(first, left)))

    def _walk(self, entered: tuple[int, int], left: set[int]) -> Iterator[NDArray[np.float64]]:
        """The chains of one stroke, each from the end where it is `entered`, with the crossings in between."""
        yield self._center(entered)
        while entered[0] in left:
            chain, end = entered
            left.remove(chain)
            places = np.array(self.crossings[chain])[[end, 1 - end]]
            points = self.chains[chain][:: 1 - 2 * end].astype(np.float64)
            # Pixels of a crossing lie where lines are thick; its middle stands for them.
            yield points[self._outside(chain)[:: 1 - 2 * end]] if places.any() else points
            yield self._center((chain, 1 - end))
            entered = self._joints.get((chain, 1 - end), entered)

    def _center(self, end: tuple[int, int]) -> NDArray[np.float64]:
        """(1, 2), the middle of the crossing at an end of a chain; (0, 2) where there is none."""
        crossing = self.crossings[end[0]][end[1]]
        return self.centers[crossing : crossing + 1] if crossing else np.empty((0, 2))

    def _outside(self, chain: int) -> NDArray[np.bool_]:
        """Which pixels of a chain are not of the crossings at its ends."""
        own = np.ones(len(self.chains[chain]), bool)
        for end, crossing in zip((0, -1), self.crossings[chain], strict=True):
            own[end] &= crossing == 0
        return own

    @cached_property
    def _joints(self) -> dict[tuple[int, int], tuple[int, int]]:
        """The end of a chain -> the end of another, or of itself, that goes on from there; both ways."""
        meeting: dict[int, list[tuple[int, int]]] = {}
        for chain, crossings in enumerate(self.crossings):
            for end, crossing in enumerate(crossings):
                if crossing:
                    meeting.setdefault(crossing, []).append((chain, end))
        joints = {}
        for crossing, ends in meeting.items():
            for one, other in _pairs(np.array([self._direction(end, crossing) for end in ends])):
                joints[ends[one]], joints[ends[other]] = ends[other], ends[one]
        return joints

    def _direction(self, end: tuple[int, int], crossing: int) -> NDArray[np.float64]:
        """(2,) of length 1: where a chain leaves a crossing to, a little farther out than lines are wide."""
        pixels = self.chains[end[0]][:: 1 - 2 * end[1]]
        away = pixels[min(len(pixels) - 1, round(3 + 2 * self.widths[crossing]))] - self.centers[crossing]
        return np.asarray(away / max(float(np.hypot(*away)), 1e-9))


def _is_bridge(chain: NDArray[np.int64], counts: NDArray[np.int64], width: NDArray[np.float64]) -> bool:
    """Whether a chain lies within one crossing: where thick lines cross, thinned ones meet a little apart."""
    between = counts[tuple(chain[0])] > 2 and counts[tuple(chain[-1])] > 2
    return bool(between and len(chain) <= _BRIDGE * width[chain[:, 0], chain[:, 1]].mean() + 1)


def _pairs(directions: NDArray[np.float64]) -> Iterator[tuple[int, int]]:
    """Which lines that meet go on into one another, the straightest first; two alone do at any angle."""
    if len(directions) == 2:
        yield 0, 1
        return
    cosines = directions @ directions.T
    cosines[np.tril_indices(len(cosines))] = np.inf
    while len(cosines) and cosines.min() < _STRAIGHT:
        one, other = np.unravel_index(int(cosines.argmin()), cosines.shape)
        yield int(one), int(other)
        cosines[[one, other]] = np.inf
        cosines[:, [one, other]] = np.inf


def _downwards(stroke: NDArray[np.float64]) -> NDArray[np.float64]:
    """From the upper end, the left one of two that are level; (points, 2) x and y."""
    return stroke[::-1] if _ends(stroke, -1) < _ends(stroke, 0) else stroke


def _place(stroke: NDArray[np.float64]) -> tuple[float, float]:
    return _ends(stroke, 0)


def _ends(stroke: NDArray[np.float64], end: int) -> tuple[float, float]:
    return float(stroke[end, 1]), float(stroke[end, 0])
