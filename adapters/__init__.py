"""Adapting photo networks to sketches: `adapt`, distillation, canvas selection, cost.

Names resolve on first use. `cost` is the module: `from sketchkit.adapters.cost import cost, latency`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Public name -> module that defines it.
_EXPORTS = {
    "NETWORKS": "networks",
    "AdaptedCost": "query_cost",
    "AdaptedModel": "adapted_model",
    "CanvasSelector": "selector",
    "Cost": "cost",
    "KDHead": "distillation",
    "Latency": "cost",
    "Summary": "summary",
    "adapt": "adapting",
    "batch_relational_loss": "distillation",
    "canvas_reward": "selector",
    "info_nce": "distillation",
    "latency": "cost",
    "load_pretrained": "pretrained",
    "mobilenet_v2": "networks",
    "pairwise_distances": "distillation",
    "policy_gradient_loss": "selector",
    "reinforce_loss": "selector",
    "relational_loss": "distillation",
    "scale_averaged": "distillation",
    "similarity_distillation_loss": "distillation",
    "triplet_loss": "distillation",
    "vgg16": "networks",
}

__all__ = sorted(_EXPORTS)


def __getattr__(name: str) -> Any:
    if name not in _EXPORTS:
        raise AttributeError(f"module 'sketchkit.adapters' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"sketchkit.adapters.{_EXPORTS[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from sketchkit.adapters.adapted_model import AdaptedModel as AdaptedModel
    from sketchkit.adapters.adapting import adapt as adapt
    from sketchkit.adapters.cost import Cost as Cost
    from sketchkit.adapters.cost import Latency as Latency
    from sketchkit.adapters.cost import latency as latency
    from sketchkit.adapters.distillation import KDHead as KDHead
    from sketchkit.adapters.distillation import batch_relational_loss as batch_relational_loss
    from sketchkit.adapters.distillation import info_nce as info_nce
    from sketchkit.adapters.distillation import pairwise_distances as pairwise_distances
    from sketchkit.adapters.distillation import relational_loss as relational_loss
    from sketchkit.adapters.distillation import scale_averaged as scale_averaged
    from sketchkit.adapters.distillation import similarity_distillation_loss as similarity_distillation_loss
    from sketchkit.adapters.distillation import triplet_loss as triplet_loss
    from sketchkit.adapters.networks import NETWORKS as NETWORKS
    from sketchkit.adapters.networks import mobilenet_v2 as mobilenet_v2
    from sketchkit.adapters.networks import vgg16 as vgg16
    from sketchkit.adapters.pretrained import load_pretrained as load_pretrained
    from sketchkit.adapters.query_cost import AdaptedCost as AdaptedCost
    from sketchkit.adapters.selector import CanvasSelector as CanvasSelector
    from sketchkit.adapters.selector import canvas_reward as canvas_reward
    from sketchkit.adapters.selector import policy_gradient_loss as policy_gradient_loss
    from sketchkit.adapters.selector import reinforce_loss as reinforce_loss
    from sketchkit.adapters.summary import Summary as Summary
