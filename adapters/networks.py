"""The paper's two networks in plain torch: VGG-16 (the teacher) and MobileNetV2 (the student).

Modules are named as in torchvision, so that its state dicts load strictly, without torchvision being there.
Sources: Simonyan and Zisserman 2014, arXiv 1409.1556; Sandler et al. 2018, arXiv 1801.04381.

Example:
    >>> sorted(NETWORKS)
    ['mobilenet_v2', 'vgg16']
    >>> type(NETWORKS["vgg16"]()).__name__
    'VGG16'
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn

__all__ = ["NETWORKS", "VGG16", "MobileNetV2", "mobilenet_v2", "name_of", "vgg16"]

# Output channels of the convolutions; "M" halves the sides.
_VGG16 = (64, 64, "M", 128, 128, "M", 256, 256, 256, "M", 512, 512, 512, "M", 512, 512, 512, "M")
# Expansion, output channels, blocks, stride of the first block.
_MOBILENET_V2 = (
    (1, 16, 1, 1),
    (6, 24, 2, 2),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)


def vgg16(num_classes: int | None = None) -> VGG16:
    """VGG-16 with random weights.

    Args:
        num_classes: of the three fully connected layers; None leaves them out and the last map comes out.

    Example:
        >>> sum(parameter.numel() for parameter in vgg16().parameters())
        14714688
    """
    return VGG16(num_classes)


def mobilenet_v2(num_classes: int | None = 1000) -> MobileNetV2:
    """MobileNetV2 (width 1.0) with random weights.

    Args:
        num_classes: of the one fully connected layer; None leaves it out and the last map comes out.

    Example:
        >>> sum(parameter.numel() for parameter in mobilenet_v2().features.parameters())
        2223872
    """
    return MobileNetV2(num_classes)


class VGG16(nn.Module):
    """VGG-16: 13 convolutions, 14,714,688 parameters in `features`, stride 32.

    Args:
        num_classes: of the three fully connected layers; None leaves them out.

    Example:
        >>> VGG16()(torch.zeros(1, 3, 64, 64)).shape
        torch.Size([1, 512, 2, 2])
    """

    def __init__(self, num_classes: int | None = None) -> None:
        super().__init__()
        self.num_classes = num_classes
        self.features = _vgg_features()
        self.classifier: nn.Sequential | None = None
        if num_classes is not None:
            self.avgpool = nn.AdaptiveAvgPool2d(7)
            self.classifier = nn.Sequential(
                nn.Linear(512 * 7 * 7, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(),
                nn.Linear(4096, 4096),
                nn.ReLU(inplace=True),
                nn.Dropout(),
                nn.Linear(4096, num_classes),
            )
        self.apply(_initialize)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """`images` (batch, 3, height, width), normalized -> logits (batch, num_classes).

        Without a classifier, the last map (batch, 512, height / 32, width / 32).
        """
        maps: torch.Tensor = self.features(images)
        if self.classifier is None:
            return maps
        logits: torch.Tensor = self.classifier(torch.flatten(self.avgpool(maps), 1))
        return logits


class MobileNetV2(nn.Module):
    """MobileNetV2: 17 inverted residual blocks, 2,223,872 parameters in `features`, stride 32.

    Args:
        num_classes: of the fully connected layer; None leaves it out.

    Example:
        >>> MobileNetV2(10).eval()(torch.zeros(1, 3, 32, 32)).shape
        torch.Size([1, 10])
    """

    def __init__(self, num_classes: int | None = 1000) -> None:
        super().__init__()
        self.num_classes = num_classes
        blocks: list[nn.Module] = [_convolution(3, 32, kernel=3, stride=2)]
        channels = 32
        for expansion, outputs, count, stride in _MOBILENET_V2:
            for index in range(count):
                blocks.append(_InvertedResidual(channels, outputs, stride if index == 0 else 1, expansion))
                channels = outputs
        blocks.append(_convolution(channels, 1280))
        self.features = nn.Sequential(*blocks)
        self.classifier: nn.Sequential | None = None
        if num_classes is not None:
            self.classifier = nn.Sequential(nn.Dropout(0.2), nn.Linear(1280, num_classes))
        self.apply(_initialize)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """`images` (batch, 3, height, width), normalized -> logits (batch, num_classes).

        Without a classifier, the last map (batch, 1280, height / 32, width / 32).
        """
        maps: torch.Tensor = self.features(images)
        if self.classifier is None:
            return maps
        pooled = nn.functional.adaptive_avg_pool2d(maps, 1)
        logits: torch.Tensor = self.classifier(torch.flatten(pooled, 1))
        return logits


# Name -> what builds the network, a function of `num_classes` (None: the last map comes out), which the network keeps.
NETWORKS: dict[str, Callable[..., nn.Module]] = {"mobilenet_v2": mobilenet_v2, "vgg16": vgg16}


def name_of(model: nn.Module) -> tuple[str, dict[str, Any]] | None:
    """Name and arguments that build `model` again, or None when it is not (or no longer) one of ours.

    Example:
        >>> name_of(mobilenet_v2(10))
        ('mobilenet_v2', {'num_classes': 10})
    """
    # A subclass may do anything, so the type itself is asked for.
    if type(model) is VGG16:
        name, arguments = "vgg16", {"num_classes": model.num_classes}
    elif type(model) is MobileNetV2:
        name, arguments = "mobilenet_v2", {"num_classes": model.num_classes}
    else:
        return None
    with torch.device("meta"):
        fresh = NETWORKS[name](**arguments)
    return (name, arguments) if repr(fresh) == repr(model) else None


class _InvertedResidual(nn.Module):
    """Expand by 1x1, filter each channel by 3x3, project by 1x1; the input is added where shapes agree."""

    def __init__(self, inputs: int, outputs: int, stride: int, expansion: int) -> None:
        super().__init__()
        self.use_residual = stride == 1 and inputs == outputs
        hidden = inputs * expansion
        expand = [] if expansion == 1 else [_convolution(inputs, hidden)]
        self.conv = nn.Sequential(
            *expand,
            _convolution(hidden, hidden, kernel=3, stride=stride, groups=hidden),
            nn.Conv2d(hidden, outputs, 1, bias=False),
            nn.BatchNorm2d(outputs),
        )

    def forward(self, maps: torch.Tensor) -> torch.Tensor:
        convolved: torch.Tensor = self.conv(maps)
        return maps + convolved if self.use_residual else convolved


def _vgg_features() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for outputs in _VGG16:
        if isinstance(outputs, str):
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, outputs, 3, padding=1), nn.ReLU(inplace=True)]
            channels = outputs
    return nn.Sequential(*layers)


def _convolution(inputs: int, outputs: int, *, kernel: int = 1, stride: int = 1, groups: int = 1) -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, kernel, stride, (kernel - 1) // 2, groups=groups, bias=False),
        nn.BatchNorm2d(outputs),
        nn.ReLU6(inplace=True),
    )


def _initialize(module: nn.Module) -> None:
    if isinstance(module, nn.Conv2d):
        nn.init.kaiming_normal_(module.weight, mode="fan_out")
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Linear):
        nn.init.normal_(module.weight, 0, 0.01)
        nn.init.zeros_(module.bias)
