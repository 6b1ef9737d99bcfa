"""Tiny hand-made networks of every make that `adapt` must take, and some that it must refuse."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import torch
from torch import nn
from torch.nn import functional as F


@dataclass(frozen=True)
class Case:
    """A network, and what `adapt` must find in it."""

    build: Callable[[], nn.Module]
    classifier: tuple[str, ...]
    form: str
    width: int
    channels: int = 3


@dataclass(frozen=True)
class Refusal:
    """A network that cannot be adapted as asked, and words of the message."""

    build: Callable[[], nn.Module]
    words: tuple[str, ...]
    arguments: dict[str, Any]


def trunk(outputs: int = 8, channels: int = 3) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(channels, 4, 3, stride=2, padding=1),
        nn.BatchNorm2d(4),
        nn.ReLU(inplace=True),
        nn.Conv2d(4, outputs, 3, stride=4, padding=1),
        nn.ReLU(),
    )


class Pooled(nn.Module):
    """trunk -> global pool -> `head`, under a name of choice."""

    def __init__(self, name: str, head: nn.Module, channels: int = 3) -> None:
        super().__init__()
        self.trunk = trunk(channels=channels)
        self.name = name
        setattr(self, name, head)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return getattr(self, self.name)(self.trunk(images).mean(dim=(2, 3)))


class Wrapped(nn.Module):
    """Another network's output in a wrapping of choice."""

    def __init__(self, inner: nn.Module, wrap: Callable[[torch.Tensor], Any]) -> None:
        super().__init__()
        self.inner, self.wrap = inner, wrap

    def forward(self, images: torch.Tensor) -> Any:
        return self.wrap(self.inner(images))


class VggLike(nn.Module):
    """An adaptive pool to 3x3, then three linear layers on the flattened map."""

    def __init__(self, *, functional: bool = False, permuted: bool = False) -> None:
        super().__init__()
        self.features = trunk()
        self.avgpool = nn.AdaptiveAvgPool2d(3)
        self.functional, self.permuted = functional, permuted
        first, second, third = nn.Linear(72, 16), nn.Linear(16, 16), nn.Linear(16, 5)
        if functional:
            self.fc1, self.fc2, self.fc3 = first, second, third
        else:
            self.classifier = nn.Sequential(first, nn.ReLU(True), nn.Dropout(), second, nn.ReLU(), third)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.avgpool(self.features(images))
        flat = torch.flatten(maps.permute(0, 2, 3, 1) if self.permuted else maps, 1)
        if not self.functional:
            return self.classifier(flat)
        return self.fc3(F.relu(self.fc2(F.dropout(F.relu(self.fc1(flat)), training=self.training))))


class LateConvolution(nn.Module):
    """A convolution after the pooling, as in MobileNetV3 (its declared width is not what comes out)."""

    num_features = 8

    def __init__(self) -> None:
        super().__init__()
        self.trunk = trunk()
        self.pool = nn.AdaptiveAvgPool2d(1)
        self.conv_head = nn.Conv2d(8, 12, 1)
        self.act = nn.Hardswish()
        self.flatten = nn.Flatten()
        self.classifier = nn.Linear(12, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.classifier(self.flatten(self.act(self.conv_head(self.pool(self.trunk(images))))))


class Excited(nn.Module):
    """Squeeze and excitation by linear layers right before the pooling: these are no classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = trunk()
        self.squeeze = nn.Sequential(nn.Linear(8, 2), nn.ReLU(), nn.Linear(2, 8), nn.Sigmoid())
        self.fc = nn.Linear(8, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.trunk(images)
        maps = maps * self.squeeze(maps.mean((2, 3)))[:, :, None, None]
        return self.fc(maps.mean((2, 3)))


class Tokens(nn.Module):
    """Patches as tokens through attention: all tokens come out, or a class token's scores."""

    def __init__(self, *, table: int | None = None, head: bool = False) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, 8, 8, stride=8)
        self.cls = nn.Parameter(torch.zeros(1, 1, 8))
        self.positions = None if table is None else nn.Parameter(torch.zeros(1, table, 8))
        self.block = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True, norm_first=True)
        self.norm = nn.LayerNorm(8)
        self.head = nn.Linear(8, 5) if head else None

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        tokens = torch.cat([self.cls.expand(len(tokens), -1, -1), tokens], dim=1)
        if self.positions is not None:
            tokens = tokens + self.positions
        tokens = self.norm(self.block(tokens))
        return tokens if self.head is None else self.head(tokens[:, 0])


class TwoHeads(nn.Module):
    """The mean of two linear heads on the same features, as in distilled transformers."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = trunk()
        self.head, self.head_dist = nn.Linear(8, 5), nn.Linear(8, 5)

    def forward(self, images: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        features = self.trunk(images).mean((2, 3))
        return self.head(features), self.head_dist(features)


class MeanOfHeads(TwoHeads):
    def forward(self, images: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        first, second = super().forward(images)
        return (first + second) / 2


class Functional(nn.Module):
    """Scores by a function of parameters: `linear`, `matmul`, `cosine` (scaled), `convolution`, or an own leaf."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind, self.trunk = kind, trunk()
        self.weight = nn.Parameter(torch.randn(8, 5) if kind == "matmul" else torch.randn(5, 8))
        self.bias, self.scale = nn.Parameter(torch.randn(5)), nn.Parameter(torch.tensor(3.0))
        if kind == "convolution":
            self.weight = nn.Parameter(torch.randn(5, 8, 1, 1))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        maps = self.trunk(images)
        features = maps.mean((2, 3))
        if self.kind == "linear":
            return F.linear(features, self.weight, self.bias)
        if self.kind == "matmul":
            return features @ self.weight + self.bias
        if self.kind == "cosine":
            return self.scale.exp() * F.linear(features, F.normalize(self.weight))
        return F.conv2d(maps, self.weight, self.bias).mean((2, 3))


class Cosine(nn.Module):
    """A leaf with its own weight, as the heads of metric learning are."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.randn(5, 8))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        return 16 * F.linear(features, F.normalize(self.weight))


class TokenHead(Tokens):
    """Scores of every token, averaged; or of class token and map token, averaged (distilled)."""

    def __init__(self, *, distilled: bool = False) -> None:
        super().__init__()
        self.first, self.second, self.distilled = nn.Linear(8, 5), nn.Linear(8, 5), distilled

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = super().forward(images)
        if self.distilled:
            return (self.first(tokens[:, 0]) + self.second(tokens[:, 1])) / 2
        return self.first(tokens).mean(dim=1)


class Interpolating(nn.Module):
    """A position table for 4 x 4 patches that is interpolated when asked to, as in transformers; it gives an object."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SimpleNamespace(image_size=32, image_mean=[0.5, 0.5, 0.5], image_std=[0.25, 0.25, 0.25])
        self.patches, self.norm = nn.Conv2d(3, 8, 8, stride=8), nn.LayerNorm(8)
        self.table = nn.Parameter(torch.randn(1, 8, 4, 4))
        self.classifier = nn.Linear(8, 5)

    def forward(self, images: torch.Tensor, interpolate_pos_encoding: bool = False) -> SimpleNamespace:
        maps = self.patches(images)
        table = self.table
        if interpolate_pos_encoding:
            table = F.interpolate(table, maps.shape[2:], mode="bilinear")
        tokens = self.norm((maps + table).flatten(2).transpose(1, 2))
        return SimpleNamespace(loss=None, logits=self.classifier(tokens.mean(1)), hidden_states=(tokens,))


class Helped(nn.Module):
    """More comes out in training than in evaluation: the scores of a head on the way, which may need a large map."""

    def __init__(self, kernel: int = 1) -> None:
        super().__init__()
        self.trunk, self.way, self.fc = trunk(), nn.Conv2d(8, 5, kernel), nn.Linear(8, 5)

    def forward(self, images: torch.Tensor) -> Any:
        maps = self.trunk(images)
        scores = self.fc(maps.mean((2, 3)))
        return (scores, self.way(maps).mean((2, 3))) if self.training else scores


def convolutional(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(trunk(), *layers, nn.Flatten())


class Reused(nn.Module):
    """One linear layer within the trunk and as the classifier."""

    def __init__(self) -> None:
        super().__init__()
        self.trunk = trunk()
        self.linear = nn.Linear(8, 8)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        once = self.linear(self.trunk(images).mean((2, 3)))
        return self.linear(once * 2)


class ReadsItsHead(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.trunk = trunk()
        self.fc = nn.Linear(8, 5)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.fc(self.trunk(images).mean((2, 3))[:, : self.fc.in_features])


def parametrized() -> nn.Module:
    return Pooled("fc", nn.utils.parametrizations.weight_norm(nn.Linear(8, 5)))


def flat_to_linear(side: int) -> nn.Module:
    """Fixed input size: a linear layer on the whole flattened map."""
    return nn.Sequential(trunk(), nn.Flatten(), nn.Linear(8 * (side // 8) ** 2, 6), nn.ReLU(), nn.Linear(6, 6))


def flat_to_block(side: int) -> nn.Module:
    """Fixed input size in the trunk: the linear layer is followed by a residual, so it is no classifier."""

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.trunk, self.mix = nn.Sequential(trunk(), nn.Flatten()), nn.Linear(8 * (side // 8) ** 2, 6)
            self.fc = nn.Linear(6, 5)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            mixed = self.mix(self.trunk(images))
            return self.fc(mixed + mixed.cos())

    return Block()


def pooled(**arguments: Any) -> nn.Module:
    return Pooled("fc", nn.Linear(8, 5), **arguments)


MODELS: dict[str, Case] = {
    "fc": Case(pooled, ("fc",), "features", 8),
    "head": Case(lambda: Pooled("head", nn.Linear(8, 5)), ("head",), "features", 8),
    "classifier sequential": Case(
        lambda: Pooled("classifier", nn.Sequential(nn.Dropout(), nn.Linear(8, 5))), ("classifier",), "features", 8
    ),
    "classifier with a norm before": Case(
        lambda: Pooled("classifier", nn.Sequential(nn.LayerNorm(8), nn.Linear(8, 5))),
        ("classifier.1",),
        "features",
        8,
    ),
    "two linears and a norm": Case(
        lambda: Pooled("mlp", nn.Sequential(nn.Linear(8, 6), nn.BatchNorm1d(6), nn.GELU(), nn.Linear(6, 5))),
        ("mlp",),
        "features",
        8,
    ),
    "softmax module": Case(
        lambda: Pooled("classifier", nn.Sequential(nn.Linear(8, 5), nn.Softmax(1))), ("classifier",), "features", 8
    ),
    "no classifier, features": Case(lambda: Pooled("keep", nn.Identity()), (), "features", 8),
    "no classifier, a map": Case(trunk, (), "map", 8),
    "no classifier, flattened map": Case(lambda: nn.Sequential(trunk(), nn.Flatten()), (), "flattened map", 8),
    "plain sequential": Case(
        lambda: nn.Sequential(trunk(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 5)), ("2", "3"), "map", 8
    ),
    "vgg-like": Case(VggLike, ("classifier",), "flattened map", 8),
    "vgg-like, functional": Case(lambda: VggLike(functional=True), ("fc1", "fc2", "fc3"), "flattened map", 8),
    "vgg-like, channels last": Case(
        lambda: VggLike().to(memory_format=torch.channels_last), ("classifier",), "flattened map", 8
    ),
    "vgg-like, permuted": Case(lambda: VggLike(permuted=True), ("classifier",), "features", 72),
    "convolution after pooling": Case(LateConvolution, ("flatten", "classifier"), "map", 12),
    "squeeze and excitation": Case(Excited, ("fc",), "features", 8),
    "tokens": Case(Tokens, (), "tokens", 8),
    "class token": Case(lambda: Tokens(head=True), ("head",), "features", 8),
    "normalized class token, no classifier": Case(lambda: Wrapped(Tokens(), lambda x: x[:, 0]), (), "features", 8),
    "tuple": Case(lambda: Wrapped(pooled(), lambda x: (x, None)), ("inner.fc",), "features", 8),
    "two heads": Case(TwoHeads, ("head",), "features", 8),
    "dict": Case(lambda: Wrapped(pooled(), lambda x: {"aux": x[:1], "out": x}), ("inner.fc",), "features", 8),
    "dict with one tensor": Case(lambda: Wrapped(pooled(), lambda x: {"anything": x}), ("inner.fc",), "features", 8),
    "object": Case(
        lambda: Wrapped(pooled(), lambda x: SimpleNamespace(loss=None, logits=x)), ("inner.fc",), "features", 8
    ),
    "object with tokens": Case(
        lambda: Wrapped(Tokens(), lambda x: SimpleNamespace(last_hidden_state=x, pooler_output=None)),
        (),
        "tokens",
        8,
    ),
    "mean of heads": Case(MeanOfHeads, ("head", "head_dist"), "features", 8),
    "distilled": Case(lambda: TokenHead(distilled=True), ("first", "second"), "features", 8),
    "scores of all tokens, averaged": Case(TokenHead, ("first",), "features", 8),
    "function, linear": Case(lambda: Functional("linear"), ("weight=eye(8)", "bias=zeros(8)"), "features", 8),
    "function, matmul": Case(lambda: Functional("matmul"), ("weight=eye(8)", "bias=zeros(8)"), "features", 8),
    "function, cosine": Case(lambda: Functional("cosine"), ("weight=eye(8)",), "features", 8),
    "function, convolution": Case(lambda: Functional("convolution"), ("weight=eye(8)", "bias=zeros(8)"), "features", 8),
    "leaf with its own weight": Case(lambda: Pooled("arc", Cosine()), ("arc.weight=eye(8)",), "features", 8),
    "scaled scores": Case(lambda: Wrapped(pooled(), lambda x: 4 * x), ("inner.fc",), "features", 8),
    "squeezenet-like": Case(
        lambda: convolutional(nn.Dropout(), nn.Conv2d(8, 5, 1), nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d(1)),
        ("1", "2", "3", "5"),
        "map",
        8,
    ),
    "convolution as the head": Case(
        lambda: convolutional(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 5, 1)), ("2", "3"), "map", 8
    ),
    "no classifier, convolution and activation after pooling": Case(
        lambda: convolutional(nn.AdaptiveAvgPool2d(1), nn.Conv2d(8, 12, 1), nn.Hardswish()), (), "features", 12
    ),
    "no classifier, convolution and norm before pooling": Case(
        lambda: convolutional(nn.Conv2d(8, 12, 1), nn.BatchNorm2d(12), nn.ReLU(), nn.AdaptiveAvgPool2d(1)),
        (),
        "features",
        12,
    ),
    "map, channels last": Case(lambda: Wrapped(trunk(), lambda x: x.permute(0, 2, 3, 1)), (), "map, channels last", 8),
    "tokens, channels first": Case(lambda: Wrapped(trunk(), lambda x: x.flatten(2)), (), "tokens, channels first", 8),
    "interpolated positions": Case(Interpolating, ("classifier",), "features", 8),
    "other output in training": Case(Helped, ("fc",), "features", 8),
    "one channel": Case(lambda: pooled(channels=1), ("fc",), "features", 8, channels=1),
    "parametrized linear": Case(parametrized, ("fc",), "features", 8),
    "half precision": Case(lambda: pooled().to(torch.bfloat16), ("fc",), "features", 8),
}

REFUSED: dict[str, Refusal] = {
    "fixed position table": Refusal(
        lambda: Tokens(table=17, head=True),
        ("cannot take canvases of 64 px", "canvases=(32,), or let", "positions, positions, to"),
        {},
    ),
    "fixed input size": Refusal(
        lambda: flat_to_block(32), ("cannot take canvases of 64 px", "mat1 and mat2", "canvases=(32,)"), {}
    ),
    "fixed input size, other photos": Refusal(
        lambda: flat_to_block(64), ("takes no images", "(batch, 3 or 1, 32, 32)", "photo_size="), {}
    ),
    "a canvas smaller than a filter": Refusal(
        lambda: nn.Sequential(nn.Conv2d(3, 4, 20), nn.AdaptiveAvgPool2d(1)),
        ("cannot take canvases of 16 px", "canvases=(32,)"),
        {"canvases": (16, 32)},
    ),
    "features that grow with the canvas": Refusal(
        lambda: Wrapped(trunk(), lambda x: x.permute(0, 2, 3, 1).flatten(1)),
        ("cannot take canvases of 64 px", "(1, 512)", "not (1, 128)"),
        {},
    ),
    "unclear dict": Refusal(
        lambda: Wrapped(trunk(), lambda x: {"left": x, "right": x}), ("dict with left, right", "returns one tensor"), {}
    ),
    "functional softmax": Refusal(
        lambda: Wrapped(pooled(), lambda x: F.log_softmax(x, dim=1)), ("log_softmax", "inner.fc (Linear)"), {}
    ),
    "scores changed by a function": Refusal(
        lambda: Wrapped(pooled(), torch.cos), ("linear layer inner.fc", "not clear", "classifier=", "None to keep"), {}
    ),
    "a training that needs a larger map": Refusal(
        lambda: Helped(kernel=5), ("cannot be trained on canvases of 32 px", "canvases=(64,)"), {}
    ),
    "one size, none of the canvases": Refusal(
        lambda: Tokens(table=17, head=True),
        ("cannot take canvases of 48, 64 px", "its size is fixed", "canvases=(32,), or let its forward interpolate"),
        {"canvases": (48, 64)},
    ),
    "labels": Refusal(lambda: Wrapped(pooled(), lambda x: x.argmax(1)), ("torch.int64", "inner.fc (Linear)"), {}),
    "linear layers alone": Refusal(
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(3 * 32 * 32, 5)), ("nothing would be left", "classifier="), {}
    ),
    "a linear layer used twice": Refusal(Reused, ("linear is also used before", "classifier=None"), {}),
    "forward reads the classifier": Refusal(ReadsItsHead, ("without its classifier (fc)", "in_features"), {}),
    "no such module": Refusal(pooled, ("no module 'fd'", "fc"), {"classifier": "fd"}),
    "a module too early": Refusal(LateConvolution, ("conv_head (Conv2d) comes after 'pool'",), {"classifier": "pool"}),
    "a module not used": Refusal(
        lambda: nn.ModuleDict({"idle": nn.Linear(2, 2)}).requires_grad_(False), ("takes no images",), {}
    ),
}
