"""Adapting any photo network to sketches."""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

import torch
from torch import nn

from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.adapters.copying import copied
from sketchkit.adapters.description import IMAGENET_MEAN, IMAGENET_STD, Description, canvas_order
from sketchkit.adapters.distillation import KDHead
from sketchkit.adapters.dry_run import attempt, noise, reason, try_sizes
from sketchkit.adapters.preprocessing import Preprocessing, preprocessing_of
from sketchkit.adapters.probing import (
    LEAF_TYPES,
    Output,
    find_average,
    find_classifier,
    output_form,
    take_off,
    tensor_at,
)
from sketchkit.adapters.recording import Recording, record
from sketchkit.adapters.sources import Source, by_name, source_of
from sketchkit.adapters.stems import stem_for
from sketchkit.canvas import Canvas
from sketchkit.errors import AdaptError, ParameterError

__all__ = ["adapt"]

# Tried in turn where neither the caller nor the network says a size.
_PHOTO_SIZES = (256, 224, 384, 299, 240, 192, 160, 128, 112, 96, 64, 32)
# What a forward may offer to take images of any size.
_OPTIONS = ("interpolate_pos_encoding",)


@torch.inference_mode(False)  # what is made in inference mode could never be trained
def adapt(
    model: nn.Module | str,
    *,
    canvases: Sequence[int | Canvas] = (32, 64, 128, 256),
    photo_size: int | None = None,
    embedding_dim: int | None = None,
    pool_size: int = 1,
    teacher: nn.Module | str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
    selector_points: int = 64,
    selector_hidden: int = 128,
    classifier: str | None = "auto",
    batch_norm: str = "shared",
    pretrained: bool = False,
) -> AdaptedModel:
    """Make an embedding network for photos and sketches out of an image network (arXiv 2505.23763).

    The classifier is found by a forward pass and taken off. Where one vector an image is left, such as the class token
    that a transformer classifies by, it is kept; a map is averaged over its places, tokens over all of the tokens.
    Every canvas size is tried once, in evaluation and in training mode. A forward with the argument
    `interpolate_pos_encoding` (in transformers: fit the table of positions to the image's size) gets True for it.
    `model` and `teacher` are copied and stay as they are. The result is in evaluation mode.

    Forward hooks are copied with them, because some networks compute by their hooks, and run whenever a copy is tried:
    take off those that count or log before.

    Args:
        model: any image network, its input (batch, 3 or 1, height, width), its output logits, features, a map, tokens,
            or a tuple, mapping or object that holds one of these; or a name: `vgg16`, `mobilenet_v2`, or one of timm.
        canvases: what sketches are drawn on; an int, a side in pixels, is short for a tight `Canvas`, every shape of a
            `rectangular` one is tried. With `channels` other than ink they must be as many planes as the network takes
            channels, or sketches get a first convolution of their own; see `sketchkit.adapters.stems`.
        photo_size: side of the photos in pixels; None: what the network states, else 256, else the first usual size
            that it takes.
        embedding_dim: adds a linear projection to this width; None keeps the network's features.
        pool_size: maps are averaged over so many cells a side, not over the whole image: a network that tells objects
            of one kind apart then knows what is where, and embeddings are `pool_size**2` times as wide. For networks
            that give maps out or average them by an `nn.AdaptiveAvgPool2d` at their end, which is taken off with the
            classifier, and for `vgg16` and `mobilenet_v2`.
        teacher: a network like `model`, or an `AdaptedModel`, held frozen in `kd_head`.
        mean: subtracted from channels in 0..1; None: what the network states (timm's `pretrained_cfg`, transformers'
            image processor), else ImageNet's.
        std: channels are divided by it; None as for `mean`.
        selector_points: the most points of a drawing that the canvas selector reads.
        selector_hidden: width of the selector's state.
        classifier: `auto`: the trailing chain of linear layers (or a 1x1 convolution), activations and dropout; or the
            path of the module where the classifier begins; or None when nothing is to be taken off, as for a network
            that ends in a linear layer which embeds.
        batch_norm: whose statistics batch norm keeps: `shared`, `frozen`, `per_domain` or `per_canvas`; see
            `sketchkit.adapters.batch_norm.set_batch_norm`.
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
    sizes = tuple(sorted(map(Canvas.of, _several(canvases)), key=canvas_order))
    for option, value in (("photo_size", photo_size), ("embedding_dim", embedding_dim), ("pool_size", pool_size)):
        if value is not None and (not isinstance(value, int) or value < 1):
            raise ParameterError(f"{option} must be a whole number of 1 or more, not {value!r}")
    network, source, name = _own_network(model, pretrained, maps=pool_size > 1)
    stated = preprocessing_of(network)
    tried = _photo_sizes(photo_size, stated, sizes)
    removed, output, seen = _strip(network, name, tried, classifier, maps=pool_size > 1)
    output = _on_cells(output, pool_size, name)
    channels, photo_size = seen.shape[1], seen.shape[2]
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
        mean=_for_channels("mean", mean, stated.mean or IMAGENET_MEAN, channels),
        std=_for_channels("std", std, stated.std or IMAGENET_STD, channels),
        selector_points=selector_points,
        selector_hidden=selector_hidden,
        stem=stem,
        batch_norm=batch_norm,
    )
    try_sizes(network, description)
    kd_head = None if teacher is None else KDHead(_own_teacher(teacher, photo_size, pretrained))
    return AdaptedModel(network, description, kd_head=kd_head).eval()


def _own_network(model: nn.Module | str, pretrained: bool, *, maps: bool) -> tuple[nn.Module, Source | None, str]:
    """A network that is ours to change, what builds it again, and its name."""
    if isinstance(model, str):
        network, source = by_name(model, pretrained=pretrained, maps=maps)
        return network.eval(), source, model
    if isinstance(model, AdaptedModel):
        raise ParameterError("this network is adapted already; adapt the network it was made from")
    if not isinstance(model, nn.Module):
        raise ParameterError(f"adapt takes an nn.Module or a name, not {type(model).__name__}")
    if pretrained:
        raise ParameterError("pretrained=True is for names; load the weights into the network before adapting it")
    own = source_of(model)
    name = getattr(model, "original_name", type(model).__name__)
    try:
        return copied(model).eval(), own, own.name if own else name
    except Exception as error:  # whatever a foreign __deepcopy__ or __reduce__ raises
        raise AdaptError(f"{name} cannot be copied: {reason(error)}; build it anew and pass that") from error


def _own_teacher(teacher: nn.Module | str, photo_size: int, pretrained: bool) -> nn.Module:
    """An adapted copy that draws its sketches as large as its photos."""
    if isinstance(teacher, AdaptedModel):
        return copied(teacher)
    by_name = isinstance(teacher, str)
    return adapt(teacher, canvases=(photo_size,), photo_size=photo_size, pretrained=pretrained and by_name)


def _strip(
    network: nn.Module, name: str, photo_sizes: Sequence[int], classifier: str | None, *, maps: bool
) -> tuple[tuple[str, ...], Output, torch.Tensor]:
    """Take the classifier off, for maps also an average before it: the paths, the form of the output, the images."""
    options = tuple(each for each in _OPTIONS if each in _arguments(network))
    seen = _recorded(network, name, photo_sizes, options)
    removed = find_classifier(network, seen, classifier)
    rest = _without(network, name, seen, removed, options)
    if maps and (average := find_average(rest)):
        rest = _without(network, name, rest, average, options)
        removed = average + removed
    output = output_form(rest)
    if maps and output.form == "map" and tensor_at(rest.output, output.at).shape[2:] == (1, 1):
        raise AdaptError(
            f"the last map of {name} has one place on photos of {seen.kept[0].shape[2]} px, which no pool_size "
            "divides; leave out its average and pass that, take larger photos, or pool_size=1"
        )
    return removed, replace(output, options=options), seen.kept[0]


def _without(
    network: nn.Module, name: str, seen: Recording, removed: tuple[str, ...], options: tuple[str, ...]
) -> Recording:
    """The pass that was seen, without what is taken off."""
    if not removed:
        return seen
    take_off(network, removed)
    rest = attempt(partial(record, network, seen.kept[0], LEAF_TYPES, options))
    if not isinstance(rest, Recording):
        raise AdaptError(
            f"{name} does not run without its classifier ({', '.join(removed)}): {reason(rest)}; pass classifier= "
            "with another module, or None to keep the network whole"
        )
    return rest


def _on_cells(output: Output, pool_size: int, name: str) -> Output:
    if pool_size > 1 and output.form not in ("map", "map, channels last"):
        raise AdaptError(
            f"pool_size={pool_size} needs a network whose forward gives maps, and {name} gives {output.form}; leave "
            "out its average (timm.create_model: num_classes=0, global_pool='') and pass that, or pool_size=1"
        )
    return replace(output, pool_size=pool_size)


def _recorded(network: nn.Module, name: str, sizes: Sequence[int], options: tuple[str, ...]) -> Recording:
    """A pass on two color photos, or on two gray ones when the network takes no others."""
    failures = []
    for size in sizes:
        for channels in (3, 1):
            seen = attempt(partial(record, network, noise(network, 2, channels, (size, size)), LEAF_TYPES, options))
            if isinstance(seen, Recording):
                return seen
            failures.append(reason(seen))
    scripted = isinstance(network, torch.jit.ScriptModule)
    raise AdaptError(
        f"{name} takes no images (batch, 3 or 1, {sizes[0]}, {sizes[0]}): {failures[0]}; "
        + ("it is scripted: pass the eager module" if scripted else "photo_size= sets another size")
    )


def _photo_sizes(asked: int | None, stated: Preprocessing, canvases: Sequence[Canvas]) -> list[int]:
    """The sizes to try, the first that works counts: the one asked for alone, else stated, 256, usual ones."""
    if asked is not None:
        return [asked]
    first = [] if stated.photo_size is None else [stated.photo_size]
    return list(dict.fromkeys([*first, *_PHOTO_SIZES, *(canvas.side for canvas in canvases[::-1])]))


def _arguments(network: nn.Module) -> tuple[str, ...]:
    """The names of what a forward takes."""
    try:
        return tuple(inspect.signature(network.forward).parameters)
    except (TypeError, ValueError):  # a scripted one tells nothing
        return ()


def _several(canvases: Sequence[int | Canvas]) -> Sequence[int | Canvas]:
    if isinstance(canvases, (int, Canvas)):
        raise ParameterError(f"canvases must be several, such as (32, 64); for one write ({canvases!r},)")
    return canvases


def _for_channels(
    name: str, given: Sequence[float] | None, stated: Sequence[float], channels: int
) -> tuple[float, ...]:
    """What is given, else what is stated; of RGB the average for a network that takes gray images."""
    try:
        values = tuple(float(value) for value in (stated if given is None else given))
    except TypeError:
        raise ParameterError(f"{name} must be one number a channel, such as (0.5, 0.5, 0.5), not {given!r}") from None
    return (sum(values) / 3,) if channels == 1 and len(values) == 3 else values
