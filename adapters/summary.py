"""What `AdaptedModel.summary()` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from sketchkit.adapters.description import Description
from sketchkit.adapters.html_table import html_table
from sketchkit.adapters.query_cost import size_words

if TYPE_CHECKING:
    from sketchkit.adapters.query_cost import AdaptedCost

__all__ = ["Summary"]


@dataclass(frozen=True)
class Summary:
    """An adapted network in a few values; printed, in a few lines; in a notebook, as a table.

    Args:
        network: its name, or its class.
        classifier: paths of the modules taken off.
        output_form: what comes out without them; see `probing.Output`.
        feature_width: of the pooled features.
        embedding_dim: of the embeddings.
        photo_size: side of the photos in pixels.
        params: of network and projection.
        selector_params: of the canvas selector.
        flops: canvas size -> FLOPs of one pass, in the paper's convention.
        selector_flops: for a drawing of the most points.
        teacher: the network in `kd_head`, if there is one.
        planes: of the canvases; none for plain ink.
        own_stem: whether sketches have a first convolution of their own.
        at_most: sizes of the rectangular canvases, whose FLOPs are those of the square, an upper bound.

    Example:
        >>> from sketchkit import adapt
        >>> adapt("mobilenet_v2", canvases=(32,), photo_size=32).summary().params
        2223872
    """

    network: str
    classifier: tuple[str, ...]
    output_form: str
    feature_width: int
    embedding_dim: int
    photo_size: int
    params: int
    selector_params: int
    flops: dict[Any, int]
    selector_flops: int
    teacher: str | None
    planes: tuple[str, ...] = ()
    own_stem: bool = False
    at_most: tuple[int, ...] = ()

    @classmethod
    def of(cls, description: Description, cost: AdaptedCost, *, teacher: Description | None) -> Summary:
        """The summary of a description and its cost.

        Args:
            description: of an adapted network.
            cost: of its queries.
            teacher: description of the network that teaches it, where there is one.
        """
        width = description.output.features
        return cls(
            network=description.network,
            classifier=description.classifier,
            output_form=description.output.form,
            feature_width=width,
            embedding_dim=description.embedding_dim or width,
            photo_size=description.photo_size,
            params=next(iter(cost.per_canvas.values())).params,
            selector_params=cost.selector.params,
            flops={size: each.flops for size, each in cost.per_canvas.items()},
            selector_flops=cost.selector.flops,
            teacher=None if teacher is None else teacher.network,
            planes=description.planes,
            own_stem=description.stem is not None,
            at_most=cost.at_most,
        )

    def __str__(self) -> str:
        return "\n".join([f"AdaptedModel of {self.network}", *(f"  {name}: {value}" for name, value in self.lines())])

    def _repr_html_(self) -> str:
        return html_table(f"AdaptedModel of {self.network}", [], self.lines())

    def lines(self) -> list[tuple[str, str]]:
        """What is printed, as names and values."""
        lines = [
            ("classifier taken off", ", ".join(self.classifier) or "none was found"),
            ("embedding", f"{self.embedding_dim}, from {self.feature_width} features ({self.output_form})"),
            ("parameters", f"{self.params:,} and {self.selector_params:,} of the canvas selector"),
            ("photos", f"{self.photo_size} px"),
            *((f"canvas {size_words(size):>4} px", self._flops_words(size)) for size in self.flops),
        ]
        if self.planes:
            stem = "a first convolution of their own" if self.own_stem else "the photos' first convolution"
            lines.append(("planes", f"{', '.join(self.planes)}, through {stem}"))
        lines.append(("canvas selector", f"at most {self.selector_flops / 1e9:.5f} GFLOPs"))
        if self.teacher is not None:
            lines.append(("teacher", self.teacher))
        return lines

    def _flops_words(self, size: Any) -> str:
        gigas = f"{self.flops[size] / 1e9:.5f} GFLOPs"
        return f"at most {gigas}: as wide as the ink" if size in self.at_most else gigas
