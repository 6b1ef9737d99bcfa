"""Everything about an adapted network but its weights: what `config.json` holds."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from sketchkit.adapters.probing import Output
from sketchkit.adapters.sources import Source
from sketchkit.canvas import CHANNELS, Canvas
from sketchkit.errors import ParameterError

__all__ = ["IMAGENET_MEAN", "IMAGENET_STD", "Description", "canvas_order", "planes_of"]

IMAGENET_MEAN = (0.485, 0.456, 0.406)
"""Mean of ImageNet's RGB pixels in 0..1."""
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Standard deviation of ImageNet's RGB pixels in 0..1."""

_BATCH_NORMS = ("shared", "frozen", "per_domain", "per_canvas", "folded")


@dataclass(frozen=True)
class Description:
    """How a network was adapted.

    Args:
        network: its name, or its class.
        source: what builds the network again; None when only its owner can.
        classifier: paths of the modules taken off.
        output: what comes out without them.
        channels: of the network's input, 3 or 1.
        canvases: smallest first, of different sizes and the same channels.
        photo_size: side of the photos in pixels.
        embedding_dim: width of the projection; None for none.
        mean: subtracted from each channel in 0..1.
        std: each channel is divided by it.
        selector_points: the most points that the selector reads.
        selector_hidden: width of the selector's state.
        stem: path of the first convolution, where sketches have one of their own beside it; see `stems`.
        batch_norm: how statistics are kept: `shared`, `frozen`, `per_domain`, `per_canvas` (see
            `batch_norm.set_batch_norm`), or `folded` into the convolutions.

    Raises:
        ParameterError: a value is out of range.

    Example:
        >>> from sketchkit.adapters import adapt, mobilenet_v2
        >>> description = adapt(mobilenet_v2(), canvases=(32,), photo_size=32).description
        >>> description.network, description.output.width, description.batch_norm
        ('mobilenet_v2', 1280, 'shared')
        >>> Description.from_dict(description.to_dict()) == description
        True
    """

    network: str
    source: Source | None
    classifier: tuple[str, ...]
    output: Output
    channels: int
    canvases: tuple[Canvas, ...]
    photo_size: int
    embedding_dim: int | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    selector_points: int
    selector_hidden: int
    stem: str | None = None
    batch_norm: str = "shared"

    def __post_init__(self) -> None:
        sizes = [canvas.size for canvas in self.canvases]
        ordered = [canvas_order(canvas) for canvas in self.canvases]
        if not sizes or len(set(sizes)) < len(sizes) or ordered != sorted(ordered):
            raise ParameterError(f"canvases must have different sizes, at least one, smallest first, not {sizes}")
        if len({canvas.channels for canvas in self.canvases}) > 1:
            raise ParameterError("all canvases must have the same channels: one network takes the images of all")
        for name, value in (("photo_size", self.photo_size), ("embedding_dim", self.embedding_dim)):
            if value is not None and value < 1:
                raise ParameterError(f"{name} must be 1 or more, not {value}")
        if self.batch_norm not in _BATCH_NORMS:
            raise ParameterError(f"batch_norm must be one of {', '.join(_BATCH_NORMS)}, not {self.batch_norm!r}")
        if len(self.mean) != self.channels or len(self.std) != self.channels:
            raise ParameterError(
                f"mean and std need {self.channels} values, one a channel, not {self.mean}, {self.std}"
            )
        if min(self.std) <= 0:
            raise ParameterError(f"std must be above 0, not {self.std}")

    @property
    def planes(self) -> tuple[str, ...]:
        """Names of the planes of the canvases; none for plain ink, which becomes gray photos."""
        return planes_of(self.canvases[0])

    @property
    def sketch_channels(self) -> int:
        """Channels of the network's inputs for sketches: the canvases' planes, or for plain ink those of photos."""
        return len(self.planes) or self.channels

    def to_dict(self) -> dict[str, Any]:
        """As plain values for JSON."""
        return {**asdict(self), "canvases": [canvas.to_dict() for canvas in self.canvases]}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Description:
        """The description that `to_dict` wrote as `values`, also after a trip through JSON.

        Raises:
            KeyError, TypeError, ValueError: values are missing, unknown or of another type.
        """
        source, output = values["source"], values["output"]
        rebuilt = {
            "source": None if source is None else Source(**source),
            "output": Output(**{**output, "at": tuple(output["at"]), "options": tuple(output.get("options", ()))}),
            "canvases": tuple(Canvas.of(canvas) for canvas in values["canvases"]),
            **{name: tuple(values[name]) for name in ("classifier", "mean", "std")},
        }
        return cls(**{**values, **rebuilt})


def planes_of(canvas: Canvas) -> tuple[str, ...]:
    """The channel of each plane of `canvas`; none for plain ink.

    Example:
        >>> planes_of(Canvas(32, channels=("ink", "orientation")))
        ('ink', 'orientation', 'orientation')
        >>> planes_of(Canvas(32))
        ()
    """
    if canvas.channels == "ink":
        return ()
    return tuple(name for name in canvas.names for _ in range(CHANNELS[name]))


def canvas_order(canvas: Canvas) -> tuple[int, int]:
    """What a `canvas` is sorted by: its pixels, then its height.

    Example:
        >>> sorted([Canvas(64), Canvas((16, 64)), Canvas(16)], key=canvas_order)[1].size
        (16, 64)
    """
    return canvas.height * canvas.width, canvas.height
