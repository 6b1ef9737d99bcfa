"""Drawings to shapely geometries and back: a drawing is a MultiLineString, its strokes are the lines.

shapely is not a requirement of sketchkit; `pip install shapely` brings it.
"""

from __future__ import annotations

import importlib
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from sketchkit.errors import MissingDependencyError, ParameterError
from sketchkit.ragged import offsets_of
from sketchkit.sketch_set import SketchSet

__all__ = ["from_shapely", "to_shapely"]

# shapely's type ids: from MultiPoint on a geometry is made of parts.
_POLYGON, _FIRST_COLLECTION = 3, 4


def to_shapely(drawings: SketchSet) -> NDArray[np.object_]:
    """One MultiLineString a drawing, (sketches,); see `SketchSet.to_shapely`."""
    shapely = _shapely()
    coordinates = drawings.points.astype(np.float64, order="C")
    offsets = drawings.stroke_offsets
    dots = np.flatnonzero(np.diff(offsets) == 1)
    if len(dots):
        coordinates = np.insert(coordinates, offsets[dots], coordinates[offsets[dots]], axis=0)
        lengths = np.diff(offsets)
        lengths[dots] = 2
        offsets = offsets_of(lengths)
    if not len(drawings):
        return np.empty(0, dtype=object)
    kind = shapely.GeometryType.MULTILINESTRING
    geometries: NDArray[np.object_] = shapely.from_ragged_array(kind, coordinates, (offsets, drawings.sketch_offsets))
    return geometries


def from_shapely(geometries: Any) -> SketchSet:
    """One drawing a geometry, a stroke a line; see `SketchSet.from_shapely`."""
    shapely = _shapely()
    parts = np.atleast_1d(np.asarray(geometries, dtype=object))
    if parts.ndim != 1:
        raise ParameterError(f"from_shapely takes a geometry or one row of them, not an array of shape {parts.shape}")
    known = shapely.is_geometry(parts) | np.array([part is None for part in parts], bool)
    if not known.all():
        wrong = int(np.flatnonzero(~known)[0])
        raise ParameterError(f"geometry {wrong} is a {type(parts[wrong]).__name__}, not a shapely geometry or None")
    count, owner = len(parts), np.arange(len(parts))
    while True:
        present = shapely.get_type_id(parts) >= 0
        parts, owner = parts[present], owner[present]
        if not (shapely.get_type_id(parts) >= _FIRST_COLLECTION).any():
            break
        parts, index = shapely.get_parts(parts, return_index=True)
        owner = owner[index]
    parts, owner = _with_rings(parts, owner)
    coordinates, line = shapely.get_coordinates(parts, return_index=True)
    return SketchSet(
        np.ascontiguousarray(coordinates, np.float32),
        offsets_of(np.bincount(line, minlength=len(parts))),
        offsets_of(np.bincount(owner, minlength=count)),
    ).validate()


def _with_rings(parts: NDArray[np.object_], owner: NDArray[np.int64]) -> tuple[NDArray[np.object_], NDArray[np.int64]]:
    """Polygons replaced by their rings, in place; the outer one first."""
    shapely = _shapely()
    polygon = np.flatnonzero(shapely.get_type_id(parts) == _POLYGON)
    if not len(polygon):
        return parts, owner
    rings, index = shapely.get_rings(parts[polygon], return_index=True)
    others = np.flatnonzero(shapely.get_type_id(parts) != _POLYGON)
    order = np.argsort(np.concatenate([others, polygon[index]]), kind="stable")
    owners = np.concatenate([owner[others], owner[polygon[index]]])
    return np.concatenate([parts[others], rings])[order], owners[order]


def _shapely() -> ModuleType:
    try:
        return importlib.import_module("shapely")
    except ImportError as error:
        raise MissingDependencyError(f"shapely is not installed ({error}): pip install 'shapely>=2'") from None
