"""Networks of the user's own, named `package.module:Callable` in settings and on the command line.

Such a name imports the module and calls what it names. So it is taken from what the user writes alone, on the command
line, in a settings file that he passes or in Python; never from a folder of weights.
"""

from __future__ import annotations

import hashlib
import importlib
import inspect
import re
import sys
import sysconfig
import traceback
from collections.abc import Callable, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sketchkit.errors import ParameterError
from sketchkit.recipes.settings import nearest

if TYPE_CHECKING:
    from torch import nn

    from sketchkit.recipes.config import StudentNetwork, TeacherNetwork

__all__ = [
    "check_name",
    "current_folder_first",
    "is_own",
    "named_network",
    "own_network",
    "own_source",
    "settings_of",
    "told_network",
]

# Settings that were not there in trainings that are still taken up.
_LATER = ("photo_lines",)

_NAME = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
# Name -> what it named, and the hash of its source: once a process, since the file may be edited while it is training.
_SOURCES: dict[str, tuple[object, str]] = {}


def is_own(network: str) -> bool:
    """Whether `network` is the name of an own one.

    Example:
        >>> is_own("mynet:PhoneNet"), is_own("mobilenet_v2")
        (True, False)
    """
    return ":" in network


def check_name(network: str) -> None:
    """Refuse what is no name of an own network; nothing is imported.

    Raises:
        ParameterError: `network` is not of the form `package.module:Callable`.
    """
    if not _NAME.fullmatch(network):
        raise ParameterError(
            f"{network!r} is not package.module:Callable, such as mynet:PhoneNet for the class PhoneNet of mynet.py"
        )


def own_network(network: str) -> nn.Module:
    """What the callable that `network` names gives, asked without arguments: with weights of its own, not yet adapted.

    The module is looked up as Python does; see `current_folder_first`.

    Raises:
        ParameterError: there is no such module or name in it, it cannot be called, or gives no network; what the
            import or the call raises is told with its place.
    """
    from torch import nn

    make = _named(network)
    try:
        made = make()
    except (Exception, SystemExit) as error:
        raise ParameterError(f"{network}: calling it without arguments fails: {_told(error)}") from error
    if not isinstance(made, nn.Module):
        raise ParameterError(f"{network} gives a {type(made).__name__}, not a torch.nn.Module")
    return made


def named_network(network: str) -> nn.Module | str:
    """What `adapt` takes for the setting `network`: an own network itself, else the name."""
    return own_network(network) if is_own(network) else network


def told_network(network: str) -> nn.Module | None:
    """What `from_pretrained` needs beside the folder of a network that was trained as `network`: None but for own."""
    return own_network(network) if is_own(network) else None


def own_source(network: str) -> str:
    """A hash of the source of what `network` names, and of the classes that its modules are of; not of installed ones.

    Of what it was when this process first asked. Functions that they call do not count.

    Raises:
        ParameterError: as `own_network`.
    """
    import torch

    with torch.random.fork_rng(devices=[]):  # an import may draw, or seed
        make = _named(network)
    if network not in _SOURCES or _SOURCES[network][0] is not make:
        with torch.random.fork_rng(devices=[]):
            made = own_network(network)
        classes = {kind for module in made.modules() for kind in type(module).__mro__ if _is_own_class(kind)}
        texts = sorted({_source(make), *map(_source, classes)})
        _SOURCES[network] = make, hashlib.sha256("\0".join(texts).encode()).hexdigest()
    return _SOURCES[network][1]


def settings_of(config: TeacherNetwork | StudentNetwork) -> dict[str, Any]:
    """All that the training of a network depends on: its settings, and of an own one the source.

    A setting that came later is left out where it does nothing: what was trained before it is still taken up.

    Args:
        config: of teacher or student, in any recipe.
    """
    settings = {name: value for name, value in asdict(config).items() if value or name not in _LATER}
    return settings | ({"source": own_source(config.network)} if is_own(config.network) else {})


def current_folder_first(*networks: str | None) -> None:
    """Look modules up in the current folder first, as `python -m` does, if one of `networks` is an own one."""
    here = str(Path.cwd())
    if any(network is not None and is_own(network) for network in networks) and here not in sys.path[:1]:
        sys.path.insert(0, here)


def _named(network: str) -> Callable[[], object]:
    check_name(network)
    module_name, _, path = network.partition(":")
    importlib.invalidate_caches()  # the file may be younger than what Python remembers of its folder
    try:
        found: Any = importlib.import_module(module_name)
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            here = Path.cwd()
            where = f", neither in {here} nor installed" if {"", str(here)} & {*sys.path} else " on Python's path"
            raise ParameterError(f"{network}: there is no module {error.name}{where}") from None
        raise ParameterError(f"{network}: importing {module_name} fails: {_told(error)}") from error
    where = f"{module_name} ({getattr(found, '__file__', None) or 'a folder'})"
    for part in path.split("."):
        if not hasattr(found, part):
            names = [name for name, value in vars(found).items() if callable(value) and not name.startswith("_")]
            raise ParameterError(f"{network}: {where} has no {part}{nearest(part, names) if names else ''}")
        found = getattr(found, part)
    from torch import nn

    if isinstance(found, nn.Module):
        raise ParameterError(f"{network} is a network already; name a class or a function that builds it")
    if not callable(found):
        raise ParameterError(f"{network} is a {type(found).__name__}, not a class or a function that gives a network")
    made: Callable[[], object] = found
    return made


def _told(error: BaseException) -> str:
    """The innermost place in the user's own code, and the exception, in one line."""
    text = " ".join(f"{type(error).__name__}: {error}".split())
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename}:{error.lineno}: {type(error).__name__}: {error.msg}"
    own = [
        f"{frame.f_code.co_filename}:{line}: "
        for frame, line in traceback.walk_tb(error.__traceback__)
        if _is_own_code(str(frame.f_globals.get("__name__")), frame.f_code.co_filename)
    ]
    return f"{own[-1] if own else ''}{text}"


def _is_own_class(kind: type) -> bool:
    return _is_own_code(kind.__module__, getattr(sys.modules.get(kind.__module__), "__file__", None))


def _is_own_code(module: str, file: str | None) -> bool:
    """Whether code is neither ours, nor of the standard library, nor of an installed package."""
    if module.partition(".")[0] in ("sketchkit", "torch") or file is None:
        return False
    path = Path(file)
    if file.startswith("<") or {"site-packages", "dist-packages"} & set(path.parts):
        return False
    return not any(path.is_relative_to(folder) for folder in _libraries())


def _libraries() -> Iterator[str]:
    paths = sysconfig.get_paths()
    return (paths[name] for name in ("stdlib", "platstdlib"))


def _source(code: Any) -> str:
    try:
        return inspect.getsource(code)
    except (OSError, TypeError):  # made by no text, as by `functools.partial`
        return ""
