"""The option `--network` of the verbs that read a folder saved from a network of the user's own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

from sketchkit.errors import ParameterError
from sketchkit.recipes.own_networks import check_name, current_folder_first, own_network

if TYPE_CHECKING:
    from torch import nn

__all__ = ["NetworkOption", "from_folder"]

Read = TypeVar("Read")

NetworkOption = Annotated[
    str | None,
    typer.Option(
        metavar="MODULE:NAME",
        help="For a folder saved from a network of your own: the class or function that gives it, such as "
        "mynet:PhoneNet. The module is looked up in the current folder first.",
    ),
]


def from_folder(read: Callable[[Path, nn.Module | None], Read], folder: Path, network: str | None) -> Read:
    """What `read` makes of a folder; what the folder says imports nothing.

    Args:
        read: such as `AdaptedModel.from_pretrained`.
        folder: that the user named.
        network: of the option.

    Raises:
        ParameterError: the folder needs a network and none is named, or the one named cannot be built.
        SketchkitError: as `read`.
    """
    from sketchkit.adapters.saving import NetworkNeededError

    if network is not None:
        check_name(network)
        current_folder_first(network)
    try:
        return read(folder, None if network is None else own_network(network))
    except NetworkNeededError as error:
        raise ParameterError(
            f"{folder} was adapted from a {error.network} that only you can build; say what gives it: "
            f"--network mymodule:{error.network}, a class or function of mymodule.py"
        ) from None
