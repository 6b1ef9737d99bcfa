"""Adapting photo networks to sketches: `adapt`, distillation, canvas selection, cost.

Names resolve on first use. `cost` is the module: `from sketchkit.adapters.cost import cost, latency`.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

# Public name -> module that defines it.
_EXPORTS = {
    "AdaptedCost": "query_cost",
    "AdaptedModel": "adapted_model",
    "Agreement": "export",
    "CanvasSelector": "selector",
    "Cost": "cost",
    "DistilledLoss": "balancing",
    "Exported": "export",
    "KDHead": "distillation",
    "Latencies": "timing",
    "Latency": "timing",
    "NETWORKS": "networks",
    "OnnxModel": "onnx_runtime",
    "Summary": "summary",
    "Part": "cost",
    "Ratio": "timing",
    "SwitchableBatchNorm": "batch_norm",
    "TeacherCache": "teacher_cache",
    "adapt": "adapting",
    "batch_relational_loss": "distillation",
    "canvas_reward": "selector",
    "content_keys": "teacher_cache",
    "distilled_loss": "balancing",
    "fold_batch_norm": "folding",
    "freeze": "fine_tuning",
    "fused_batch_norm": "fusing",
    "gradient_norms": "balancing",
    "hard_triplet_loss": "retrieval_losses",
    "hub_discounts": "hubness",
    "info_nce": "retrieval_losses",
    "latencies": "timing",
    "latency": "timing",
    "load_pretrained": "pretrained",
    "logit_distillation_loss": "logit_distillation",
    "mobilenet_v2": "networks",
    "pairwise_distances": "embedding_distances",
    "parameter_groups": "fine_tuning",
    "passing": "batch_norm",
    "policy_gradient_loss": "selector",
    "reinforce_loss": "selector",
    "relational_loss": "distillation",
    "scale_averaged": "distillation",
    "set_batch_norm": "batch_norm",
    "similarity_distillation_loss": "distillation",
    "teacher_fingerprint": "teacher_cache",
    "triplet_loss": "retrieval_losses",
    "verify": "export",
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
    from sketchkit.adapters.balancing import DistilledLoss as DistilledLoss
    from sketchkit.adapters.balancing import distilled_loss as distilled_loss
    from sketchkit.adapters.balancing import gradient_norms as gradient_norms
    from sketchkit.adapters.batch_norm import SwitchableBatchNorm as SwitchableBatchNorm
    from sketchkit.adapters.batch_norm import passing as passing
    from sketchkit.adapters.batch_norm import set_batch_norm as set_batch_norm
    from sketchkit.adapters.cost import Cost as Cost
    from sketchkit.adapters.cost import Part as Part
    from sketchkit.adapters.distillation import KDHead as KDHead
    from sketchkit.adapters.distillation import batch_relational_loss as batch_relational_loss
    from sketchkit.adapters.distillation import relational_loss as relational_loss
    from sketchkit.adapters.distillation import scale_averaged as scale_averaged
    from sketchkit.adapters.distillation import similarity_distillation_loss as similarity_distillation_loss
    from sketchkit.adapters.embedding_distances import pairwise_distances as pairwise_distances
    from sketchkit.adapters.export import Agreement as Agreement
    from sketchkit.adapters.export import Exported as Exported
    from sketchkit.adapters.export import verify as verify
    from sketchkit.adapters.fine_tuning import freeze as freeze
    from sketchkit.adapters.fine_tuning import parameter_groups as parameter_groups
    from sketchkit.adapters.folding import fold_batch_norm as fold_batch_norm
    from sketchkit.adapters.fusing import fused_batch_norm as fused_batch_norm
    from sketchkit.adapters.hubness import hub_discounts as hub_discounts
    from sketchkit.adapters.logit_distillation import logit_distillation_loss as logit_distillation_loss
    from sketchkit.adapters.networks import NETWORKS as NETWORKS
    from sketchkit.adapters.networks import mobilenet_v2 as mobilenet_v2
    from sketchkit.adapters.networks import vgg16 as vgg16
    from sketchkit.adapters.onnx_runtime import OnnxModel as OnnxModel
    from sketchkit.adapters.pretrained import load_pretrained as load_pretrained
    from sketchkit.adapters.query_cost import AdaptedCost as AdaptedCost
    from sketchkit.adapters.retrieval_losses import hard_triplet_loss as hard_triplet_loss
    from sketchkit.adapters.retrieval_losses import info_nce as info_nce
    from sketchkit.adapters.retrieval_losses import triplet_loss as triplet_loss
    from sketchkit.adapters.selector import CanvasSelector as CanvasSelector
    from sketchkit.adapters.selector import canvas_reward as canvas_reward
    from sketchkit.adapters.selector import policy_gradient_loss as policy_gradient_loss
    from sketchkit.adapters.selector import reinforce_loss as reinforce_loss
    from sketchkit.adapters.summary import Summary as Summary
    from sketchkit.adapters.teacher_cache import TeacherCache as TeacherCache
    from sketchkit.adapters.teacher_cache import content_keys as content_keys
    from sketchkit.adapters.teacher_cache import teacher_fingerprint as teacher_fingerprint
    from sketchkit.adapters.timing import Latencies as Latencies
    from sketchkit.adapters.timing import Latency as Latency
    from sketchkit.adapters.timing import Ratio as Ratio
    from sketchkit.adapters.timing import latencies as latencies
    from sketchkit.adapters.timing import latency as latency
