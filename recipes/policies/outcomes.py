"""What a frozen student makes of each held-out sketch on every canvas: all that a policy is taught and judged by."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import ArrayLike, NDArray

from sketchkit import atomic
from sketchkit.errors import DataError, MissingDataError
from sketchkit.measures import measure
from sketchkit.recipes.policy import canvas_outcomes
from sketchkit.sketch_set import SketchSet

__all__ = ["Outcomes"]

# So many of the highest similarities are kept of each query: what a confidence can be read from.
_TOP = 10


@dataclass(frozen=True, eq=False)
class Outcomes:
    """The sketches of one held-out fold, each retrieved from every canvas by a student that saw none of its photos.

    Known before a query: `sketches`, `flops`, `measures`. Known once a canvas was looked at, without the truth:
    `nearest`, `similarities`, `margins`, `embeddings` of that canvas. The truth: `ranks`, `triplet_losses`, `right`.

    Args:
        sketches: n drawings, named by their column `key`.
        photo_of_sketch: (n,) int64, the right photo of each.
        canvases: the K sizes in pixels, from the cheapest to the dearest.
        ranks: (n, K) int64 of the right photo, 1 = best.
        nearest: (n, K) int64, the photo found.
        similarities: (n, K, top) float32, cosines of the most similar photos less their discounts, falling.
        triplet_losses: (n, K) float32, against the hardest photo of the gallery.
        flops: (n, K) float64 of the student's pass, which may differ by drawing: a canvas may be as wide as the ink.
        search_flops: of comparing one embedding with the gallery; counted for every search but the first.
        fold: which fold was held out.
        seed: of the student's training.
        embeddings: (n, K, embedding_dim) float16, if kept.

    Raises:
        DataError: shapes do not fit one another, or the canvases are not in order of their cost.
    """

    sketches: SketchSet
    photo_of_sketch: NDArray[np.int64]
    canvases: tuple[int, ...]
    ranks: NDArray[np.int64]
    nearest: NDArray[np.int64]
    similarities: NDArray[np.float32]
    triplet_losses: NDArray[np.float32]
    flops: NDArray[np.float64]
    search_flops: float
    fold: int
    seed: int
    embeddings: NDArray[np.float16] | None = None

    def __post_init__(self) -> None:
        table = (len(self.sketches), len(self.canvases))
        for name in ("ranks", "nearest", "triplet_losses", "flops"):
            _check_shape(name, getattr(self, name), table)
        _check_shape("photo_of_sketch", self.photo_of_sketch, table[:1])
        _check_shape("similarities", self.similarities, (*table, self.similarities.shape[-1]))
        if self.embeddings is not None:
            _check_shape("embeddings", self.embeddings, (*table, self.embeddings.shape[-1]))
        if "key" not in self.sketches.columns:
            raise DataError("the sketches have no column key; outcomes name each drawing by it")
        means = self.flops.mean(axis=0) if len(self.sketches) else np.zeros(len(self.canvases))
        if np.any(np.diff(means) < 0):
            raise DataError(f"canvases {list(self.canvases)} cost {means.tolist()} FLOPs; give the cheapest first")

    @classmethod
    def of(
        cls,
        sketches: SketchSet,
        photo_of_sketch: NDArray[np.int64],
        embeddings: Mapping[int, torch.Tensor],
        photos: torch.Tensor | Mapping[int, torch.Tensor],
        flops: ArrayLike,
        *,
        discounts: Mapping[int, torch.Tensor] | None = None,
        margin: float = 0.3,
        fold: int,
        seed: int,
        keep_embeddings: bool = True,
    ) -> Outcomes:
        """Search a gallery with every sketch on every canvas.

        Args:
            sketches: n drawings.
            photo_of_sketch: (n,) index of the right photo.
            embeddings: canvas size -> (n, embedding_dim), L2-normalized, the cheapest canvas first.
            photos: (photos, embedding_dim), L2-normalized: the gallery, or one for each canvas.
            flops: (n, K) or (K,), of the student's pass on each canvas.
            discounts: canvas size -> (photos,), taken off the similarities; see `hub_discounts`.
            margin: of the triplet loss.
            fold: which fold was held out.
            seed: of the student's training.
            keep_embeddings: False for policies that need none.

        Raises:
            DataError: shapes do not fit one another.

        Example:
            >>> from sketchkit import Sketch
            >>> block = SketchSet.from_sketches([Sketch.from_strokes([[(0, 0), (1, 1)]])])
            >>> block = block.with_columns(key=np.array(["a"], dtype=object))
            >>> photos = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
            >>> seen = {32: torch.tensor([[0.6, 0.8]]), 64: torch.tensor([[0.8, 0.6]])}
            >>> found = Outcomes.of(block, np.array([0]), seen, photos, [1e6, 4e6], fold=0, seed=0)
            >>> found.ranks.tolist(), found.nearest.tolist(), found.right.tolist()
            ([[2, 1]], [[1, 0]], [[0.0, 1.0]])
        """
        count = len(sketches)
        gallery = {size: photos if isinstance(photos, torch.Tensor) else photos[size] for size in embeddings}
        for size, embedded in embeddings.items():
            _check_shape(f"embeddings of {size} px", embedded, (count, gallery[size].shape[-1]))
        _check_shape("photo_of_sketch", photo_of_sketch, (count,))
        spent = np.broadcast_to(np.asarray(flops, np.float64), (count, len(embeddings))).copy()
        means = spent.mean(axis=0)
        table = canvas_outcomes(dict(embeddings), gallery, photo_of_sketch, means, margin=margin, discounts=discounts)
        similar = torch.stack([each.double() @ gallery[size].double().T for size, each in embeddings.items()], 1)
        if discounts is not None:
            similar -= torch.stack([discounts[size].double() for size in embeddings])
        highest, nearest = similar.topk(min(_TOP, similar.shape[-1]), dim=-1)
        kept = torch.stack(list(embeddings.values()), 1).numpy().astype(np.float16) if keep_embeddings else None
        return cls(
            sketches,
            photo_of_sketch,
            tuple(embeddings),
            table.ranks.numpy(),
            nearest[..., 0].numpy(),
            highest.numpy().astype(np.float32),
            table.triplet_losses.numpy(),
            spent,
            2.0 * max(each.numel() for each in gallery.values()),
            fold,
            seed,
            kept,
        )

    @property
    def margins(self) -> NDArray[np.float32]:
        """(n, K): similarity of the nearest photo less that of the second nearest."""
        lead: NDArray[np.float32] = self.similarities[..., 0] - self.similarities[..., 1]
        return lead

    @property
    def right(self) -> NDArray[np.float64]:
        """(n, K): 1 where the right photo is found first, else 0."""
        return np.asarray(self.ranks == 1, np.float64)

    @cached_property
    def measures(self) -> NDArray[np.float64]:
        """(n, measures): every measure of `sketchkit.measure`; NaN where one is not defined for a drawing."""
        return np.asarray(np.column_stack(list(measure(self.sketches).values())))

    def save(self, path: Path) -> None:
        """Write all but the drawings, which are named by their keys, to `path` in the `.npz` format, atomically.

        Raises:
            OutputError: the file cannot be written.
        """
        arrays: dict[str, Any] = {name: getattr(self, name) for name in (*_ARRAYS, *_NUMBERS)}
        if self.embeddings is not None:
            arrays["embeddings"] = self.embeddings
        keys = np.array([str(key) for key in self.sketches.columns["key"]])
        with atomic.replacing(path) as temporary, temporary.open("wb") as file:
            np.savez_compressed(file, keys=keys, canvases=np.array(self.canvases), **arrays)

    @classmethod
    def load(cls, path: Path, sketches: SketchSet) -> Outcomes:
        """Read what `save` wrote.

        Args:
            path: of the file.
            sketches: drawings among which all of the file's are, in any order.

        Raises:
            MissingDataError: there is no such file.
            DataError: it is damaged, or names drawings that are not given.
        """
        try:
            with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
                found = dict(file)
            numbers: dict[str, Any] = {name: found[name].item() for name in _NUMBERS}
            arrays = {name: found[name] for name in _ARRAYS}
            keys, canvases = found["keys"].tolist(), tuple(found["canvases"].tolist())
        except FileNotFoundError:
            raise MissingDataError(f"{path}: no such file") from None
        except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
            raise DataError(f"{path}: not outcomes that can be read ({error}); remove it to measure anew") from None
        position = {str(key): index for index, key in enumerate(sketches.columns.get("key", ()))}
        if absent := [key for key in keys if key not in position]:
            raise DataError(
                f"{path}: {len(absent)} of its {len(keys)} drawings are not given, the first is {absent[0]!r}"
            )
        rows = np.array([position[key] for key in keys], np.int64)
        return cls(sketches=sketches[rows], canvases=canvases, embeddings=found.get("embeddings"), **arrays, **numbers)


_ARRAYS = ("photo_of_sketch", "ranks", "nearest", "similarities", "triplet_losses", "flops")
_NUMBERS = ("search_flops", "fold", "seed")


def _check_shape(name: str, values: Any, shape: tuple[int, ...]) -> None:
    if tuple(values.shape) != shape:
        raise DataError(f"{name} must be {shape}, not {tuple(values.shape)}")
