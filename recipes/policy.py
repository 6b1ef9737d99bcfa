"""V2's training: the canvas selector by REINFORCE, on rewards of the frozen student."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from numpy.typing import NDArray
from torch import nn

from sketchkit import atomic
from sketchkit.adapters.adapted_model import AdaptedModel
from sketchkit.adapters.embedding_distances import pairwise_distances
from sketchkit.adapters.selector import CanvasSelector, canvas_reward, policy_gradient_loss
from sketchkit.canvas import Canvas
from sketchkit.errors import DataError
from sketchkit.recipes.config import SelectorConfig
from sketchkit.recipes.embedding import embed_on_canvases
from sketchkit.recipes.evaluation import ranks
from sketchkit.recipes.fitting import fit
from sketchkit.recipes.frame import Run
from sketchkit.recipes.inputs import jittered
from sketchkit.recipes.photo_lines import embed_gallery
from sketchkit.recipes.run_folder import StageFolder
from sketchkit.sketch_set import SketchSet

if TYPE_CHECKING:
    from sketchkit.recipes.fgsbir import FgsbirRun

__all__ = [
    "CanvasOutcomes",
    "Selection",
    "SelectorPolicy",
    "canvas_outcomes",
    "policy_batches",
    "train_selectors",
    "training_outcomes",
]


@dataclass(frozen=True, eq=False)
class CanvasOutcomes:
    """What happens to each sketch on each canvas, the student frozen.

    Args:
        ranks: (sketches, canvases) rank of the right photo.
        triplet_losses: (sketches, canvases), against the hardest photo of the gallery.
        flops: (canvases,) of one pass of the student.
    """

    ranks: torch.Tensor
    triplet_losses: torch.Tensor
    flops: torch.Tensor

    def rewards(self, config: SelectorConfig, lambda_F: float | None = None) -> torch.Tensor:
        """The paper's reward, (sketches, canvases), by the lambdas of `config`; see `canvas_reward`.

        A `lambda_F`, where one is given, takes the place of the configuration's.
        """
        return canvas_reward(
            self.ranks,
            self.triplet_losses,
            self.flops,
            lambda_F=config.lambda_F if lambda_F is None else lambda_F,
            lambda_r=config.lambda_r,
            lambda_Tri=config.lambda_Tri,
        )

    def accuracy(self, canvases: Sequence[Canvas]) -> dict[str, float]:
        """Canvas size -> acc@1 where all are drawn on it; `canvases` are those of the columns, in their order."""
        right = (self.ranks == 1).double().mean(dim=0).tolist()
        return {str(canvas.size): share for canvas, share in zip(canvases, right, strict=True)}


@torch.no_grad()
def canvas_outcomes(
    embeddings: dict[int, torch.Tensor],
    photos: torch.Tensor | Mapping[int, torch.Tensor],
    photo_of_sketch: NDArray[np.int64],
    flops: Sequence[float],
    *,
    margin: float,
    discounts: Mapping[int, torch.Tensor] | None = None,
) -> CanvasOutcomes:
    """Ranks and triplet losses of every sketch on every canvas.

    Args:
        embeddings: canvas size -> (sketches, embedding_dim).
        photos: (photos, embedding_dim), the gallery, or one for each canvas.
        photo_of_sketch: (sketches,) index of the right photo.
        flops: of each canvas, in the order of `embeddings`.
        margin: of the triplet loss, which is of plain distances.
        discounts: canvas size -> (photos,), taken off the similarities before they are ranked.
    """
    found, losses = [], []
    for size, sketches in embeddings.items():
        discount = None if discounts is None else discounts[size]
        gallery = photos if isinstance(photos, torch.Tensor) else photos[size]
        found.append(torch.from_numpy(ranks(sketches, gallery, photo_of_sketch, discount)))
        distances = pairwise_distances(sketches, gallery)
        right = distances[torch.arange(len(sketches)), torch.from_numpy(photo_of_sketch)]
        others = distances.scatter(1, torch.from_numpy(photo_of_sketch)[:, None], float("inf"))
        losses.append((margin + right - others.min(dim=1).values).clamp_min(0))
    return CanvasOutcomes(torch.stack(found, 1), torch.stack(losses, 1), torch.tensor(list(flops)))


class SelectorPolicy(nn.Module):
    """One REINFORCE step: sample a canvas for each sketch, and follow the reward.

    Args:
        selector: the policy.
        config: the entropy bonus, which fades out over the epochs.
        flops: (canvases,) for the log.
    """

    def __init__(self, selector: CanvasSelector, config: SelectorConfig, flops: torch.Tensor) -> None:
        super().__init__()
        self.selector, self.config = selector, config
        self.register_buffer("flops", flops / flops.max(), persistent=False)

    def forward(self, batch: dict[str, Any]) -> dict[str, torch.Tensor]:
        """Losses of one `batch` of `policy_batches`, with what is worth watching; scalars."""
        logits = self.selector(batch["sequences"], batch["lengths"])
        generator = torch.Generator().manual_seed(batch["seed"])
        weight = self.config.entropy_weight * (1 - batch["done"])
        loss = policy_gradient_loss(logits, batch["rewards"], generator=generator, entropy_weight=weight)
        with torch.no_grad():
            chances = logits.softmax(1)
            watched = {
                "reward": (chances * batch["rewards"]).sum(1).mean(),
                "entropy": torch.special.entr(chances).sum(1).mean(),
                "flops_share": (chances @ self.flops).mean(),
            }
        return {"loss": loss} | watched


def policy_batches(
    selector: CanvasSelector, sketches: SketchSet, rewards: torch.Tensor, *, batch: int, epochs: int, seed: int
) -> tuple[int, Any]:
    """How many batches an epoch has, and the function that gives them.

    Args:
        selector: encodes the drawings, once.
        sketches: the drawings.
        rewards: (sketches, canvases).
        batch: drawings a batch.
        epochs: of the whole training.
        seed: of order and sampling.
    """
    sequences, lengths = selector.encode(sketches)
    steps = max(1, round(len(sketches) / batch))

    def batches(epoch: int) -> Iterator[dict[str, Any]]:
        order = np.random.default_rng([seed, epoch, 3]).permutation(len(sketches))
        for step, rows in enumerate(np.array_split(order, steps)):
            chosen = torch.from_numpy(rows)
            yield {
                "sequences": sequences[chosen],
                "lengths": lengths[chosen],
                "rewards": rewards[chosen],
                "seed": int(np.random.default_rng([seed, epoch, step, 4]).integers(2**31)),
                "done": epoch / epochs,
            }

    return steps, batches


def training_outcomes(this: FgsbirRun, v1: AdaptedModel) -> tuple[SketchSet, CanvasOutcomes]:
    """Versions of the training sketches that V1 was not trained on, and what happens to each on each canvas.

    Ranks are by similarity alone: the drawings that tell hubs are of these very photos.

    Args:
        this: the run.
        v1: trained, frozen.
    """
    train, student = this.pairs.train, this.config.student
    seen = student.training.variants
    versions = range(seen, seen + this.config.selector.variants)
    sketches = SketchSet.concat([jittered(train.sketches, version, this.config.seed) for version in versions])
    owners: NDArray[np.int64] = np.tile(train.photo_of_sketch, len(versions))
    embeddings = embed_on_canvases(v1, sketches, this.canvases, name="V2: sketches")
    photos = embed_gallery(v1, train.photo_paths, this.canvases, weight=student.photo_lines, name="V2: photos")
    flops = [each.flops for each in v1.cost().per_canvas.values()]
    return sketches, canvas_outcomes(embeddings, photos, owners, flops, margin=student.training.margin)


def train_selectors(
    this: Run,
    stage: StageFolder,
    selector: CanvasSelector,
    sketches: SketchSet,
    outcomes: CanvasOutcomes,
    *depends_on: Any,
) -> list[dict[str, float]]:
    """Train a selector for `lambda_F` and one for each value of the dial, all on one table of rewards.

    Args:
        this: the run.
        stage: keeps their parameters.
        selector: untrained; afterwards the one of `lambda_F`.
        sketches: the drawings.
        outcomes: what happens to each.
        *depends_on: what the trainings depend on beside the run's data; see `Run.stage`.

    Returns:
        One record an epoch, of the training for `lambda_F`.
    """
    config = this.config.selector
    paths = _selector_paths(stage, config)
    histories = {}
    for lambda_F, path in paths.items():
        trained = copy.deepcopy(selector)
        policy = SelectorPolicy(trained, config, outcomes.flops)
        steps, batches = policy_batches(
            trained,
            sketches,
            outcomes.rewards(config, lambda_F),
            batch=config.batch_sketches,
            epochs=config.epochs,
            seed=this.config.seed,
        )
        histories[lambda_F] = fit(
            this.fabric,
            policy,
            torch.optim.Adam(policy.parameters(), config.learning_rate),
            batches,
            epochs=config.epochs,
            steps_per_epoch=steps,
            stage=this.stage(f"v2/lambda_F_{lambda_F:g}", *depends_on),
            name=f"V2, lambda_F {lambda_F:g}",
            gradient_clip=1.0,
        )
        atomic.write_bytes(path, safetensors.torch.save(trained.state_dict()))
    selector.load_state_dict(_read_selector(paths[config.lambda_F]))
    return histories[config.lambda_F]


@dataclass(frozen=True, eq=False)
class Selection:
    """V2, and the selectors trained for other values of the dial.

    Args:
        v2: V1 with the selector of the run's own lambda_F.
        dial: lambda_F -> selector.
        training_accuracy: canvas size -> acc@1 on the drawings that gave the rewards; beside acc@1 on the test pairs
            it says how much too rosy those are.
    """

    v2: AdaptedModel
    dial: dict[float, CanvasSelector]
    training_accuracy: dict[str, float]

    @classmethod
    def load(
        cls, stage: StageFolder, v2: AdaptedModel, config: SelectorConfig, training_accuracy: dict[str, float]
    ) -> Selection:
        """Read what `train_selectors` kept.

        Args:
            stage: of V2.
            v2: its model.
            config: the values of the dial.
            training_accuracy: as of the class.

        Raises:
            DataError: a file is missing or damaged.
        """
        dial = {}
        for lambda_F, path in _selector_paths(stage, config).items():
            dial[lambda_F] = copy.deepcopy(v2.canvas_selector)
            dial[lambda_F].load_state_dict(_read_selector(path))
        return cls(v2, dial, training_accuracy)

    def select(self, sketches: SketchSet, lambda_F: float) -> NDArray[np.int64]:
        """Canvas sizes in pixels, (sketches,): what the selector of `dial` for `lambda_F` chooses for `sketches`."""
        sizes = np.array([canvas.size for canvas in self.v2.canvases])
        return sizes[self.dial[lambda_F].select(sketches)]


def _selector_paths(stage: StageFolder, config: SelectorConfig) -> dict[float, Path]:
    return {value: stage.path / f"selector_{value:g}.safetensors" for value in config.lambdas}


def _read_selector(path: Path) -> dict[str, torch.Tensor]:
    try:
        return safetensors.torch.load(path.read_bytes())
    except (OSError, safetensors.SafetensorError) as error:
        raise DataError(
            f"{path}: not a selector that can be read ({error}); remove {path.parent} to train anew"
        ) from None
