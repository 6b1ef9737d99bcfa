"""Adapting any photo network to sketches."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import nn

from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.adapters.backbone import Backbone
from sketchkit.adapters.description import IMAGENET_MEAN, IMAGENET_STD, Description, canvas_order
from sketchkit.adapters.distillation import KDHead
from sketchkit.adapters.probing import LEAF_TYPES, Output, find_classifier, output_form, take_off
from sketchkit.adapters.recording import Recording, record
from sketchkit.adapters.sources import Source, by_name, source_of
from sketchkit.adapters.stems import stem_for
from sketchkit.canvas import Canvas
from sketchkit.errors import AdaptError, ParameterError

__all__ = ["adapt"]


def adapt(
    model: nn.Module | str,
    *,
    canvases: Sequence[int | Canvas] = (32, 64, 128, 256),
    photo_size: int = 256,
    embedding_dim: int | None = None,
    teacher: nn.Module | str | None = None,
    mean: Sequence[float] = IMAGENET_MEAN,
    std: Sequence[float] = IMAGENET_STD,
    selector_points: int = 64,
    selector_hidden: int = 128,
    classifier: str | None = "auto",
    pretrained: bool = False,
) -> AdaptedModel:
    """Make an embedding network for photos and sketches out of an image network (arXiv 2505.23763).

    The classifier is found by a forward pass and taken off, maps and tokens are averaged, and every canvas size is
    tried once. `model` and `teacher` are copied and stay as they are. The result is in evaluation mode.

    Args:
        model: any image network, its input (batch, 3 or 1, height, width), its output logits, features, a map, tokens,
            or a tuple, mapping or object that holds one of these; or a name: `vgg16`, `mobilenet_v2`, or one of timm.
        canvases: the sizes that sketches are drawn on; an int is short for a tight `Canvas`. With `channels` other
            than ink they must be as many planes as the network takes channels, or sketches get a first convolution
            of their own; see `sketchkit.adapters.stems`.
        photo_size: side of the photos in pixels.
        embedding_dim: adds a linear projection to this width; None keeps the network's features.
        teacher: a network like `model`, or an `AdaptedModel`, held frozen in `kd_head`.
        mean: subtracted from channels in 0..1; default ImageNet's.
        std: channels are divided by it; default ImageNet's.
        selector_points: the most points of a drawing that the canvas selector reads.
        selector_hidden: width of the selector's state.
        classifier: `auto`: the trailing chain of linear layers, activations and dropout; or the path of the module
            where the classifier begins; or None when nothing is to be taken off.
        pretrained: load ImageNet weights; for names only.

    Raises:
        AdaptError: the network cannot be adapted, or cannot take a canvas or the photos.
        ParameterError: a name is unknown, a number out of range.
        WeightsError: pretrained weights are not installed.

    Example:
        >>> from sketchkit.adapters.networks import mobilenet_v2
        >>> adapted = adapt(mobilenet_v2(), canvases=(32, 64), photo_size=64)
        >>> adapted.embed_photos(torch.zeros(2, 3, 64, 64)).shape
        torch.Size([2, 1280])
    """
    network, source, name = _own_network(model, pretrained)
    sizes = tuple(sorted((Canvas.of(canvas) for canvas in canvases), key=canvas_order))
    if photo_size < 1:
        raise ParameterError(f"photo_size must be 1 or more, not {photo_size}")
    removed, output, channels = _strip(network, name, photo_size, classifier)
    stem = stem_for(network, name, sizes, channels, photo_size)
    description = Description(
        network=name,
        source=source,
        classifier=removed,
        output=output,
        channels=channels,
        canvases=sizes,
        photo_size=photo_size,
        embedding_dim=embedding_dim,
        mean=_for_channels(mean, channels),
        std=_for_channels(std, channels),
        selector_points=selector_points,
        selector_hidden=selector_hidden,
        stem=stem,
    )
    _try_sizes(network, description)
    kd_head = None if teacher is None else KDHead(_own_teacher(teacher, photo_size, pretrained))
    return AdaptedModel(network, description, kd_head=kd_head).eval()


def _own_network(model: nn.Module | str, pretrained: bool) -> tuple[nn.Module, Source | None, str]:
    """A network that is ours to change, what builds it again, and its name."""
    if isinstance(model, str):
        network, source = by_name(model, pretrained=pretrained)
        return network.eval(), source, model
    if isinstance(model, AdaptedModel):
        raise ParameterError("this network is adapted already; adapt the network it was made from")
    if not isinstance(model, nn.Module):
        raise ParameterError(f"adapt takes an nn.Module or a name, not {type(model).__name__}")
    if pretrained:
        raise ParameterError("pretrained=True is for names; load the weights into the network before adapting it")
    own = source_of(model)
    try:
        return copy.deepcopy(model).eval(), own, own.name if own else type(model).__name__
    except RuntimeError as error:
        raise AdaptError(f"{type(model).__name__} cannot be copied: {error}") from error


def _own_teacher(teacher: nn.Module | str, photo_size: int, pretrained: bool) -> nn.Module:
    """An adapted copy that draws its sketches as large as its photos."""
    if isinstance(teacher, AdaptedModel):
        return copy.deepcopy(teacher)
    by_name = isinstance(teacher, str)
    return adapt(teacher, canvases=(photo_size,), photo_size=photo_size, pretrained=pretrained and by_name)


def _strip(
    network: nn.Module, name: str, photo_size: int, classifier: str | None
) -> tuple[tuple[str, ...], Output, int]:
    """Take the classifier off: the paths removed, the form of the output, the input's channels."""
    seen = _recorded(network, name, photo_size)
    images = seen.kept[0]
    channels = images.shape[1]
    removed = find_classifier(network, seen, classifier)
    if not removed:
        return removed, output_form(seen), channels
    take_off(network, removed)
    rest = _attempt(partial(record, network, images, LEAF_TYPES))
    if not isinstance(rest, Recording):
        raise AdaptError(
            f"{name} does not run without its classifier ({', '.join(removed)}): {_reason(rest)}; pass classifier= "
            "with another module, or None to keep the network whole"
        )
    return removed, output_form(rest), channels


def _recorded(network: nn.Module, name: str, photo_size: int) -> Recording:
    """A pass on two color photos, or on two gray ones when the network takes no others."""
    failures = []
    for channels in (3, 1):
        images = _images(network, 2, channels, photo_size)
        seen = _attempt(partial(record, network, images, LEAF_TYPES))
        if isinstance(seen, Recording):
            return seen
        failures.append(_reason(seen))
    raise AdaptError(
        f"{name} takes no images (batch, 3 or 1, {photo_size}, {photo_size}): {failures[0]}; "
        "photo_size= sets another size"
    )


@torch.no_grad()
def _try_sizes(network: nn.Module, description: Description) -> None:
    """One image on every canvas: what a network cannot take is found out now, not in the middle of a training."""
    backbone = Backbone(network, description.output)
    width = description.output.width
    refused: dict[object, str] = {}
    for canvas in description.canvases:
        images = _images(network, 1, description.sketch_channels, canvas.height, canvas.width)
        features = _attempt(partial(backbone, images))
        if not isinstance(features, torch.Tensor):
            refused[canvas.size] = _reason(features)
        elif features.shape != (1, width):
            refused[canvas.size] = f"features {tuple(features.shape)} come out there, not (1, {width})"
    if refused:
        taken = tuple(canvas.size for canvas in description.canvases if canvas.size not in refused)
        way = f"pass canvases={taken}" if taken else f"its photos are {description.photo_size} px"
        if description.stem is not None and not taken:
            way = f"draw ink, or as many planes as it takes channels, {description.channels}"
        raise AdaptError(
            f"{description.network} cannot take canvases of {', '.join(map(str, refused))} px "
            f"({next(iter(refused.values()))}); {way}"
        )


def _attempt(run: Callable[[], object]) -> object:
    """What a pass gives, or the error that it raises: a foreign forward may raise anything."""
    try:
        return run()
    except Exception as error:
        return error


def _images(network: nn.Module, count: int, channels: int, height: int, width: int | None = None) -> torch.Tensor:
    """Noise on the network's device, in its type; the global random state is left alone."""
    parameter = next((value for value in network.parameters() if value.is_floating_point()), torch.zeros(0))
    noise = torch.rand(count, channels, height, width or height, generator=torch.Generator().manual_seed(0))
    return noise.to(parameter.device, parameter.dtype)


def _for_channels(values: Sequence[float], channels: int) -> tuple[float, ...]:
    """The statistics of RGB averaged for a network that takes gray images."""
    if channels == 1 and len(values) == 3:
        return (sum(values) / 3,)
    return tuple(float(value) for value in values)


def _reason(error: object) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0].rstrip(".")
