"""The networks of `networks.py`: their names and how to build them, with random weights."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

__all__ = ["NAMES", "build"]

_TIMM = (
    *("resnet18", "resnet10t", "resnext50_32x4d", "seresnet50", "wide_resnet50_2", "regnety_002"),
    *("densenet121", "dla34", "hrnet_w18_small", "vgg11_bn", "mobilenetv1_100", "mobilenetv2_100"),
    *("mobilenetv3_small_100", "mobilenetv4_conv_small", "efficientnet_b0", "efficientnetv2_rw_t"),
    *("mnasnet_small", "lcnet_050", "tinynet_d", "ghostnet_050", "ghostnetv3_050", "repghostnet_050"),
    *("rexnet_100", "repvgg_a0", "mobileone_s0", "repvit_m0_9", "starnet_s1", "shvit_s1", "fastvit_t8"),
    *("edgenext_xx_small", "convnext_atto", "convnextv2_atto", "inception_next_atto", "poolformer_s12"),
    *("convmixer_768_32", "mixer_s32_224", "resmlp_12_224", "mobilevit_xxs", "mobilevitv2_050"),
    *("efficientformer_l1", "efficientformerv2_s0", "efficientvit_b0", "efficientvit_m0", "swiftformer_xs"),
    *("levit_128s", "levit_conv_128s", "xcit_nano_12_p16_224", "vit_tiny_patch16_224", "deit_tiny_patch16_224"),
    *("deit_tiny_distilled_patch16_224", "crossvit_tiny_240", "pit_ti_224", "tiny_vit_5m_224"),
    *("swin_tiny_patch4_window7_224", "swinv2_tiny_window8_256", "maxvit_rmlp_pico_rw_256"),
    *("coatnet_nano_rw_224", "pvt_v2_b0", "twins_pcpvt_small", "focalnet_tiny_srf", "nfnet_l0", "inception_v3"),
    "xception41",
)
# The same networks, built for images of any size.
_TIMM_ANY_SIZE: dict[str, dict[str, Any]] = {
    "vit_tiny_patch16_224": {"dynamic_img_size": True},
    "deit_tiny_distilled_patch16_224": {"dynamic_img_size": True},
    "swin_tiny_patch4_window7_224": {"strict_img_size": False},
}
_TORCHVISION = (
    *("alexnet", "vgg11", "resnet18", "squeezenet1_1", "mobilenet_v2", "mobilenet_v3_small"),
    *("shufflenet_v2_x0_5", "mnasnet0_5", "googlenet", "inception_v3", "regnet_y_400mf", "efficientnet_b0"),
    *("convnext_tiny", "vit_b_32", "swin_t"),
)
_TRANSFORMERS: dict[str, dict[str, Any]] = {
    "ViTForImageClassification": {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768},
    "ViTModel": {"hidden_size": 192, "num_attention_heads": 3, "intermediate_size": 768},
    "SwinForImageClassification": {"depths": [2, 2, 2, 2]},
    "ResNetForImageClassification": {"layer_type": "basic", "hidden_sizes": [64, 128, 256, 512], "depths": [2] * 4},
    "ConvNextModel": {"hidden_sizes": [40, 80, 160, 320], "depths": [2, 2, 6, 2]},
    "MobileNetV2ForImageClassification": {},
}
# Of tests/adapters/models.py.
_HAND_WRITTEN = (
    *("vgg-like", "convolution after pooling", "squeezenet-like", "function, linear", "function, cosine"),
    *("mean of heads", "scores of all tokens, averaged", "map, channels last", "tokens, channels first"),
    *("interpolated positions", "one channel"),
)

NAMES: tuple[str, ...] = (
    *(f"timm {name}" for name in _TIMM),
    *(f"timm {name}, any size" for name in _TIMM_ANY_SIZE),
    *(f"torchvision {name}" for name in _TORCHVISION),
    *(f"transformers {name}" for name in _TRANSFORMERS),
    *(f"hand-written {name}" for name in _HAND_WRITTEN),
)
"""Where a network comes from, and its name there."""


def build(name: str) -> nn.Module:
    """The network of one of `NAMES`, in evaluation mode.

    Raises:
        ImportError: the package is not installed.
    """
    origin, _, own = name.partition(" ")
    network: nn.Module = {"timm": _timm, "torchvision": _torchvision, "transformers": _transformers}.get(
        origin, _hand_written
    )(own)
    return network.eval()


def import_torchvision() -> Any:
    """torchvision, also where its compiled part does not load: beside a torch for CPUs, PyPI's is one for CUDA.

    All that its import then lacks is the declaration of two operators, which no network here calls.
    """
    try:
        import torchvision
    except RuntimeError:
        for name in [name for name in sys.modules if name.partition(".")[0] == "torchvision"]:
            del sys.modules[name]
        _DECLARED.append(torch.library.Library("torchvision", "DEF"))
        _DECLARED[0].define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _DECLARED[0].define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        import torchvision
    return torchvision


# A declaration ends with the object that made it.
_DECLARED: list[Any] = []


def _timm(name: str) -> nn.Module:
    import_torchvision()
    import timm

    name, _, any_size = name.partition(", ")
    network: nn.Module = timm.create_model(name, **(_TIMM_ANY_SIZE[name] if any_size else {}))
    return network


def _torchvision(name: str) -> nn.Module:
    torchvision = import_torchvision()
    arguments = {"init_weights": False} if name in ("googlenet", "inception_v3") else {}
    network: nn.Module = getattr(torchvision.models, name)(**arguments)
    return network


def _transformers(name: str) -> nn.Module:
    import_torchvision()
    import transformers

    made = getattr(transformers, name)
    network: nn.Module = made(made.config_class(**_TRANSFORMERS[name]))
    return network


def _hand_written(name: str) -> nn.Module:
    sys.path.append(str(Path(__file__).parents[1] / "tests" / "adapters"))
    from models import MODELS

    network: nn.Module = MODELS[name].build()
    return network
