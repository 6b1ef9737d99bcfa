"""Ink to lines: thinning, and the chains of pixels between ends and crossings.

Images have a border of one pixel without ink, so that every pixel has eight neighbors. Serial, hence `cache=True`.
"""

from __future__ import annotations

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = ["chains", "neighbor_counts", "thin"]

# The neighbors of a pixel, all the way around it from the east; every other one shares a side with it.
_ROWS = (0, -1, -1, -1, 0, 1, 1, 1)
_COLUMNS = (1, 1, 0, -1, -1, -1, 0, 1)


@njit(cache=True, nogil=True)
def thin(ink: NDArray[np.uint8]) -> None:
    """Take ink away from all sides in turn, in place, down to thin lines; holes and pieces stay as many.

    A pixel goes when its neighbors hang together without it and it is no end of a line. Source: Hilditch's crossing
    number (1969), with pixels of one side collected before any of them goes, so that lines do not shrink lengthwise.

    `ink` (height, width) is 0 or 1, its border 0.
    """
    height, width = ink.shape
    rows, columns = np.empty(ink.size, np.int64), np.empty(ink.size, np.int64)
    changed = True
    while changed:
        changed = False
        for side in (2, 6, 0, 4):
            count = 0
            for row in range(1, height - 1):
                for column in range(1, width - 1):
                    if ink[row, column] and not ink[row + _ROWS[side], column + _COLUMNS[side]]:
                        rows[count], columns[count] = row, column
                        count += 1
            for index in range(count):
                row, column = rows[index], columns[index]
                if _spare(ink, row, column):
                    ink[row, column] = 0
                    changed = True


@njit(cache=True, nogil=True)
def neighbor_counts(line: NDArray[np.uint8]) -> NDArray[np.int64]:
    """(height, width): how many pixels follow each of a thinned `line`; 1 at ends, 3 and more at crossings."""
    counts = np.zeros(line.shape, np.int64)
    for row in range(1, line.shape[0] - 1):
        for column in range(1, line.shape[1] - 1):
            if line[row, column]:
                for way in range(8):
                    counts[row, column] += _follows(line, row, column, way)
    return counts


@njit(cache=True, nogil=True)
def chains(line: NDArray[np.uint8], counts: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Walk from each end and crossing to the next; rings, which have neither, from where they are met.

    `line` is thinned, `counts` as of `neighbor_counts`. Gives (pixels, 2) rows and columns, chain by chain, with both
    ends (a ring's first pixel stands at its end too, a lone pixel is a chain of one), and (chains + 1,) offsets.
    """
    # A pixel stands in its own chain, a crossing in one for each way out of it.
    pixels = np.empty((9 * int(line.sum()) + 1, 2), np.int64)
    offsets = [0]
    walked = np.zeros(line.shape, np.uint8)
    size = 0
    for rings in (False, True):
        for row in range(1, line.shape[0] - 1):
            for column in range(1, line.shape[1] - 1):
                if not line[row, column] or walked[row, column] or (counts[row, column] == 2) != rings:
                    continue
                if counts[row, column] == 0:
                    pixels[size] = row, column
                    size += 1
                    offsets.append(size)
                    continue
                for way in range(8):
                    if not _follows(line, row, column, way):
                        continue
                    end = _walk(line, counts, walked, pixels, size, row, column, way)
                    if end > size:
                        size = end
                        offsets.append(size)
                    if rings:
                        break
    return pixels[:size], np.array(offsets)


@njit(cache=True, nogil=True)
def _walk(
    line: NDArray[np.uint8],
    counts: NDArray[np.int64],
    walked: NDArray[np.uint8],
    pixels: NDArray[np.int64],
    size: int,
    row: int,
    column: int,
    way: int,
) -> int:
    """Write one chain behind `size` and give its end; `size` itself where it was walked before, from its other end."""
    first_row, first_column = row, column
    end = size
    pixels[end] = row, column
    end += 1
    ring = counts[row, column] == 2
    if ring:
        walked[row, column] = 1
    while True:
        before_row, before_column = row, column
        row, column = row + _ROWS[way], column + _COLUMNS[way]
        if (
            counts[row, column] == 2
            and walked[row, column]
            and not (ring and (row, column) == (first_row, first_column))
        ):
            return size
        pixels[end] = row, column
        end += 1
        if (row, column) == (first_row, first_column) and (ring or counts[row, column] != 2):
            return end
        if counts[row, column] != 2:
            # Two crossings side by side: once, from the one that is met first.
            alone = end - size == 2 and (row, column) < (first_row, first_column)
            return size if alone else end
        walked[row, column] = 1
        for following in range(8):
            back = row + _ROWS[following] == before_row and column + _COLUMNS[following] == before_column
            if not back and _follows(line, row, column, following):
                way = following
                break


@njit(cache=True, nogil=True)
def _follows(line: NDArray[np.uint8], row: int, column: int, way: int) -> bool:
    """Whether a line goes on that `way`: across a corner only where no pixel beside it makes the longer way around."""
    if not line[row + _ROWS[way], column + _COLUMNS[way]]:
        return False
    if way % 2 == 0:
        return True
    before, after = way - 1, (way + 1) % 8
    return (
        not line[row + _ROWS[before], column + _COLUMNS[before]]
        and not line[row + _ROWS[after], column + _COLUMNS[after]]
    )


@njit(cache=True, nogil=True)
def _spare(ink: NDArray[np.uint8], row: int, column: int) -> bool:
    """Whether a pixel is no end and no middle of a T, and its neighbors hang together without it."""
    neighbors, sides, crossings = 0, 0, 0
    for way in range(8):
        near = ink[row + _ROWS[way], column + _COLUMNS[way]]
        neighbors += near
        sides += near * (1 - way % 2)
    if neighbors < 2 or (sides > 2 and sides == neighbors):
        return False
    for way in range(0, 8, 2):
        side = ink[row + _ROWS[way], column + _COLUMNS[way]]
        corner = ink[row + _ROWS[way + 1], column + _COLUMNS[way + 1]]
        next_side = ink[row + _ROWS[(way + 2) % 8], column + _COLUMNS[(way + 2) % 8]]
        crossings += (1 - side) * (1 - (1 - corner) * (1 - next_side))
    return crossings == 1
