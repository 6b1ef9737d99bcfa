"""Reading settings: a frozen dataclass, filled from a YAML file and `key=value` words."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import is_dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from sketchkit.errors import MissingDataError, ParameterError

__all__ = ["find_settings", "load_settings", "nearest", "shipped_settings", "to_yaml"]

T = TypeVar("T")


def load_settings(kind: type[T], path: Path | None, overrides: Sequence[str] = ()) -> T:
    """Fill a dataclass from a YAML file, then `key=value` words over it.

    Args:
        kind: the dataclass; every field has a default.
        path: of the file; None: the defaults.
        overrides: for instance `["data.name=qmul", "data.root=ChairV2"]`.

    Raises:
        ParameterError: an unknown key (the nearest one is named), a value of another type or out of range.
    """
    where = "settings" if path is None else str(path)
    for word in overrides:
        if "=" not in word or word.startswith("="):
            raise ParameterError(f"{word!r} is not key=value; write for instance seed=1")
    try:
        layers = [] if path is None else [OmegaConf.load(path)]
        layers.append(OmegaConf.from_dotlist(list(overrides)))
    except Exception as error:  # PyYAML's and OmegaConf's errors have no common base
        raise ParameterError(f"{where}: {_first_line(error)}") from None
    for layer in layers:
        _check_keys(kind, OmegaConf.to_container(layer), "", where)
    try:
        settings = OmegaConf.to_object(OmegaConf.merge(OmegaConf.structured(kind), *layers))
    except OmegaConfBaseException as error:
        key = getattr(error, "full_key", None)
        raise ParameterError(f"{where}: {key or 'a setting'}: {_first_line(error)}") from None
    assert isinstance(settings, kind)
    return settings


def find_settings(source: str, shipped: Mapping[str, Path]) -> Path:
    """The file that a name or a path means.

    Args:
        source: a path, or a name out of `shipped`.
        shipped: name -> file.

    Raises:
        MissingDataError: it is neither.
    """
    path = shipped.get(source, Path(source))
    if not path.is_file():
        raise MissingDataError(f"{source}: no such file, nor a shipped configuration ({', '.join(shipped)})")
    return path


def shipped_settings(package: str, folder: str = "configs") -> dict[str, Path]:
    """The YAML files in `folder` of the installed `package`, such as `sketchkit.recipes`, by name without suffix."""
    return {path.stem: path for path in sorted(Path(str(files(package)), folder).glob("*.yaml"))}


def to_yaml(settings: Any) -> str:
    """The dataclass `settings` as YAML, as it is kept beside results; `load_settings` reads it."""
    return OmegaConf.to_yaml(OmegaConf.structured(settings))


def nearest(name: str, known: Iterable[str], prefix: str = "") -> str:
    """What to add to "there is no such name": the one that was likely meant, else all there are.

    `name` is compared with the `known` ones; `prefix` is put before the one that is near enough, as in `data.`.

    Example:
        >>> nearest("sead", ["seed", "out"])
        '; did you mean seed?'
        >>> nearest("x", ["seed", "out"])
        '; known are seed, out'
    """
    known = list(known)
    near = difflib.get_close_matches(name, known, n=1)
    return f"; did you mean {prefix}{near[0]}?" if near else f"; known are {', '.join(known)}"


def _check_keys(kind: Any, values: Any, prefix: str, where: str) -> None:
    """Unknown keys first, with the nearest known one: OmegaConf only says that the key is not there."""
    named_by_user = get_origin(kind) is dict
    if not (named_by_user or is_dataclass(kind)):
        return
    if not isinstance(values, dict):
        raise ParameterError(
            f"{where}: {prefix.rstrip('.') or 'the file'} must hold keys and values, not {type(values).__name__}"
        )
    known = dict.fromkeys(values, get_args(kind)[-1]) if named_by_user else get_type_hints(kind)
    for key, value in values.items():
        if key not in known:
            raise ParameterError(f"{where}: unknown setting {prefix}{key}{nearest(str(key), known, prefix)}")
        _check_keys(known[key], value, f"{prefix}{key}.", where)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
