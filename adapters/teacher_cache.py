"""A teacher's embeddings on disk, so that distillation neither runs nor holds the teacher.

A folder holds `cache.json` (whose embeddings these are) and one safetensors file for each batch that was added. Each
is written whole or not at all; after a kill, what was written stays and only the rest is computed.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

import safetensors.torch
import torch
from safetensors import SafetensorError, safe_open
from torch import nn

from sketchkit import atomic
from sketchkit.errors import DataError, MissingDataError, OutputError, ParameterError, WeightsError

__all__ = ["TeacherCache", "content_keys", "teacher_fingerprint"]

_CONFIG = "cache.json"
_FORMAT = 1
# What of an adapted network does not change the embedding of a given picture.
_BESIDE = ("canvas_selector.", "kd_head.")
_SETTINGS = ("network", "classifier", "output", "channels", "photo_size", "embedding_dim", "mean", "std", "batch_norm")

_KINDS = ("photos", "sketches")
# So many values of a fixed picture's embedding are kept, and may differ by this share of the largest: other machines
# round otherwise.
_CHECKED, _ROUNDING = 64, 5e-3

Kind = Literal["photos", "sketches"]


class TeacherCache:
    """A teacher's embeddings of photos and sketches, found by keys.

    Args:
        folder: is made when it is not there.
        teacher: whose embeddings these are; None opens what is there without a teacher in memory.
        preprocessing: what is done to pictures outside of the teacher, in words of your own (a crop, a data set's
            version); None with an existing cache takes it as it is.

    Raises:
        WeightsError: the folder holds the embeddings of another teacher, or other preprocessing.
        MissingDataError: there is no cache, and no teacher to begin one.
        DataError: a file is damaged.
        OutputError: the folder cannot be written.

    Example:
        >>> import tempfile
        >>> folder, teacher = tempfile.mkdtemp(), nn.Linear(2, 3)
        >>> cache = TeacherCache(folder, teacher)
        >>> cache.fill("photos", ["a", "b"], lambda keys: torch.ones(len(keys), 3))
        2
        >>> TeacherCache(folder).get("photos", ["b", "a"]).shape
        torch.Size([2, 3])
    """

    def __init__(
        self, folder: str | os.PathLike[str], teacher: nn.Module | None = None, *, preprocessing: str | None = None
    ) -> None:
        self.folder = Path(folder)
        config = _read_config(self.folder / _CONFIG)
        if config is None:
            if teacher is None:
                raise MissingDataError(f"{self.folder} holds no teacher's embeddings; give teacher= to begin a cache")
            config = {
                "format": _FORMAT,
                "teacher": teacher_fingerprint(teacher),
                "preprocessing": preprocessing or "",
                "check": _fixed_embeddings(teacher),
            }
            _make(self.folder)
            atomic.write_text(self.folder / _CONFIG, json.dumps(config, indent=2) + "\n")
        if preprocessing is not None and preprocessing != config["preprocessing"]:
            raise WeightsError(
                f"{self.folder} was computed with preprocessing {config['preprocessing']!r}, not {preprocessing!r}; "
                "name another folder, or delete its cache.json, photos-* and sketches-* to compute it anew"
            )
        self.teacher: str = config["teacher"]
        self.preprocessing: str = config["preprocessing"]
        self._expected: dict[str, list[float]] = config["check"]
        if teacher is not None:
            self.check(teacher)
        self._rows: dict[tuple[str, str], torch.Tensor] = {}
        # Others' files may lie beside; half-written ones of a program that was killed begin with a dot.
        for kind in _KINDS:
            for path in sorted(self.folder.glob(f"{kind}-*.safetensors")):
                self._rows.update(_read_part(path))

    def __len__(self) -> int:
        return len(self._rows)

    def check(self, teacher: nn.Module) -> None:
        """Make sure that the embeddings are this teacher's.

        Args:
            teacher: the network that is about to be used.

        Raises:
            WeightsError: they are another's.
        """
        found = teacher_fingerprint(teacher)
        if found != self.teacher:
            raise WeightsError(
                f"{self.folder} holds the embeddings of another teacher ({self.teacher[:12]}, not {found[:12]}); "
                "name another folder, or delete its cache.json, photos-* and sketches-* to compute it anew"
            )

        embedded = _fixed_embeddings(teacher) if self._expected else {}
        if not all(_agree(embedded[name], self._expected[name]) for name in set(embedded) & set(self._expected)):
            raise WeightsError(
                f"{self.folder} holds the embeddings of another teacher, which has the same weights but computes "
                "something else; name another folder, or delete its cache.json, photos-* and sketches-* to compute it "
                "anew"
            )

    def missing(self, kind: Kind, keys: Sequence[str]) -> list[int]:
        """Places of the keys that are not there yet, each key once.

        Args:
            kind: `photos` or `sketches`.
            keys: what is looked for.
        """
        first = {key: place for place, key in reversed(list(enumerate(keys)))}
        return sorted(place for key, place in first.items() if (kind, key) not in self._rows)

    def get(self, kind: Kind, keys: Sequence[str]) -> torch.Tensor:
        """Embeddings (keys, embedding_dim) on the CPU, in the order of the keys.

        Args:
            kind: `photos` or `sketches`.
            keys: what is looked for.

        Raises:
            MissingDataError: one is not there.
        """
        if absent := self.missing(kind, keys):
            raise MissingDataError(
                f"{self.folder} lacks {len(absent)} of {len(keys)} {kind}, such as {keys[absent[0]]!r}; add them with "
                "fill, or give the KD head its teacher"
            )
        if not keys:
            if (known := next(iter(self._rows.values()), None)) is None:
                raise ParameterError(f"{self.folder} is empty, so the width of its embeddings is not known; give keys")
            return known.new_zeros(0, len(known))
        return torch.stack([self._rows[kind, key] for key in keys])

    def add(self, kind: Kind, keys: Sequence[str], embeddings: torch.Tensor) -> None:
        """Write embeddings (keys, embedding_dim) to disk, in the type they have.

        Args:
            kind: `photos` or `sketches`.
            keys: one for each row; the last embedding of a key counts.
            embeddings: (keys, embedding_dim).

        Raises:
            ParameterError: shapes do not fit.
            OutputError: the folder cannot be written.
        """
        if kind not in _KINDS:
            raise ParameterError(f"kind must be photos or sketches, not {kind!r}")
        rows = embeddings.detach().cpu().contiguous()
        if rows.ndim != 2 or len(rows) != len(keys):
            raise ParameterError(f"{len(keys)} keys need embeddings (keys, embedding_dim), not {tuple(rows.shape)}")
        if (known := next(iter(self._rows.values()), None)) is not None and len(known) != rows.shape[1]:
            raise ParameterError(f"{self.folder} holds embeddings of width {len(known)}, not {rows.shape[1]}")
        content = safetensors.torch.save({"embeddings": rows}, {"kind": kind, "keys": json.dumps(list(keys))})
        # Named by content: two programs that fill one folder never take each other's name.
        atomic.write_bytes(self.folder / f"{kind}-{hashlib.sha256(content).hexdigest()[:16]}.safetensors", content)
        self._rows.update({(kind, key): row for key, row in zip(keys, rows, strict=True)})

    @torch.no_grad()
    def fill(
        self, kind: Kind, keys: Sequence[str], embed: Callable[[list[str]], torch.Tensor], *, batch: int = 64
    ) -> int:
        """Compute and write what is missing, a batch at a time; a later call goes on where this one was killed.

        Args:
            kind: `photos` or `sketches`.
            keys: of all pictures.
            embed: some of the keys -> the teacher's embeddings of them, (keys, embedding_dim).
            batch: how many at a time.

        Returns:
            How many were computed.

        Raises:
            ParameterError: `batch` is below 1, or shapes do not fit.
            OutputError: the folder cannot be written.
        """
        if batch < 1:
            raise ParameterError(f"batch must be 1 or more, not {batch}")
        absent = [keys[place] for place in self.missing(kind, keys)]
        for start in range(0, len(absent), batch):
            part = absent[start : start + batch]
            self.add(kind, part, embed(part))
        return len(absent)


def teacher_fingerprint(teacher: nn.Module) -> str:
    """A hash of a teacher's weights, layers, and an adapted network's preprocessing.

    The canvas selector and the teacher's own teacher do not count. What a teacher computes beside its layers (a number
    or a function that it holds) is not seen: `TeacherCache` also compares the embeddings of fixed pictures, which
    machines round differently, so that they make no hash.

    Args:
        teacher: any network, adapted or not.

    Example:
        >>> layer = nn.Linear(2, 2)
        >>> before = teacher_fingerprint(layer)
        >>> _ = nn.init.zeros_(layer.weight)
        >>> teacher_fingerprint(layer) == before
        False
    """
    digest = hashlib.sha256()
    for path, module in teacher.named_modules():
        if not f"{path}.".startswith(_BESIDE):
            made_of = module.extra_repr() if path else ""
            digest.update(f"{path}:{type(module).__name__}:{made_of}\n".encode())
    description: Any = getattr(teacher, "description", None)
    if hasattr(description, "to_dict"):
        settings = description.to_dict()
        kept = {name: settings[name] for name in _SETTINGS if name in settings}
        digest.update(json.dumps(kept, sort_keys=True, default=str).encode())
    for name, tensor in teacher.state_dict().items():
        if not name.startswith(_BESIDE):
            digest.update(name.encode())
            _update(digest, tensor)
    return digest.hexdigest()


def content_keys(pictures: torch.Tensor) -> list[str]:
    """A key for each picture of (batch, ...): a hash of its values, shape and type.

    Args:
        pictures: (batch, ...) of any type.

    Example:
        >>> first, second, third = content_keys(torch.tensor([[1, 2], [1, 2], [2, 1]]))
        >>> first == second, first == third
        (True, False)
    """
    keys = []
    for picture in torch.as_tensor(pictures):
        digest = hashlib.sha256()
        _update(digest, picture)
        keys.append(digest.hexdigest()[:32])
    return keys


def _update(digest: Any, state: object) -> None:
    if isinstance(state, torch.Tensor):
        values = state.detach().cpu()
        digest.update(f"{values.dtype}{tuple(values.shape)}".encode())
        if values.is_quantized:
            values = values.dequantize()
        digest.update(values.contiguous().reshape(-1).view(torch.uint8).numpy().data)
    elif isinstance(state, (list, tuple)):
        digest.update(f"{len(state)} of".encode())
        for each in state:
            _update(digest, each)
    else:
        # A quantized network's types and numbers; another object's words may hold its address.
        known = isinstance(state, (bool, int, float, str, bytes, torch.dtype, type(None)))
        digest.update((repr(state) if known else type(state).__qualname__).encode())


def _fixed_embeddings(teacher: nn.Module) -> dict[str, list[float]]:
    """Kind -> embedding of a fixed picture, where the teacher takes one."""
    modes = [(module, module.training) for module in teacher.modules()]
    device = next((value.device for value in teacher.parameters()), torch.device("cpu"))
    teacher.eval()
    found: dict[str, list[float]] = {}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            for side in (64, 224):
                ramp = (torch.arange(3 * side * side, device=device) * 37 % 251).reshape(1, 3, side, side)
                for name, verb, picture in (
                    ("photos", "embed_photos", ramp / 255),
                    ("sketches", "embed_rasters", ramp[:, 0].to(torch.uint8)),
                ):
                    embed = getattr(teacher, verb, teacher if name == "photos" else None)
                    if embed is not None and name not in found and (values := _finite(embed, picture)):
                        found[name] = values
    finally:
        for module, training in modes:
            module.training = training
    return found


def _finite(embed: Callable[[torch.Tensor], torch.Tensor], picture: torch.Tensor) -> list[float]:
    # Of the CPU alone: that of a GPU would not be put back.
    torch.default_generator.manual_seed(0)
    try:
        values = [round(value, 6) for value in embed(picture).reshape(-1)[:_CHECKED].double().cpu().tolist()]
    except Exception:  # a teacher may refuse a picture in any way it likes
        return []
    return values if all(map(math.isfinite, values)) else []


def _agree(found: list[float], expected: list[float]) -> bool:
    scale = max(max(map(abs, expected)), 1e-6)
    return len(found) == len(expected) and all(
        abs(one - other) <= _ROUNDING * scale for one, other in zip(found, expected, strict=True)
    )


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {error.strerror}; choose another folder") from error


def _read_config(path: Path) -> dict[str, Any] | None:
    try:
        config = json.loads(path.read_text(encoding="utf-8"))
        if config["format"] != _FORMAT:
            raise WeightsError(f"{path}: format {config['format']} is not known here; update sketchkit")
        # Caches of earlier versions have no check.
        check = {str(name): [float(value) for value in row] for name, row in config.get("check", {}).items()}
        return {"teacher": str(config["teacher"]), "preprocessing": str(config["preprocessing"]), "check": check}
    except FileNotFoundError:
        return None
    except WeightsError:
        raise
    except (AttributeError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(
            f"{path}: not the description of a cache: {error!r}; delete it, photos-* and sketches-*"
        ) from None


def _read_part(path: Path) -> dict[tuple[str, str], torch.Tensor]:
    try:
        with safe_open(path, "pt") as file:
            told = file.metadata() or {}
            rows = file.get_tensor("embeddings")
        keys = json.loads(told["keys"])
        return {(told["kind"], key): row for key, row in zip(keys, rows, strict=True)}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise DataError(f"{path}: damaged: {error}; delete this file, it is then computed anew") from None
