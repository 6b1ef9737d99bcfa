import signal
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
import torch
from lightning_fabric import Fabric
from torch import nn

from sketchkit.errors import DataError, ParameterError
from sketchkit.recipes.fitting import cosine_with_warmup, fit
from sketchkit.recipes.run_folder import StageFolder, fingerprint


class Regression(nn.Module):
    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.layer = nn.Linear(3, 1)

    def forward(self, batch):
        error = self.layer(batch["x"]).squeeze(1) - batch["y"]
        return {"loss": error.square().mean(), "largest": error.detach().abs().max()}


def batches(epoch):
    generator = torch.Generator().manual_seed(epoch)
    for _ in range(4):
        x = torch.randn(8, 3, generator=generator)
        yield {"x": x, "y": x @ torch.tensor([1.0, -2.0, 0.5])}


def train(folder, epochs, batches=batches):
    step = Regression()
    optimizer = torch.optim.AdamW(step.parameters(), 0.1)
    history = fit(
        Fabric(accelerator="cpu", devices=1),
        step,
        optimizer,
        batches,
        epochs=epochs,
        steps_per_epoch=4,
        stage=StageFolder(folder, "settings"),
        name="regression",
        schedule=cosine_with_warmup(0.1),
    )
    return step, history


def test_it_learns_and_records_each_epoch(tmp_path):
    _, history = train(tmp_path, 12)
    assert [record["epoch"] for record in history] == list(range(1, 13))
    assert history[-1]["loss"] < 0.05 * history[0]["loss"]
    assert set(history[0]) == {"epoch", "loss", "largest"}


class KilledError(Exception):
    pass


@pytest.mark.parametrize("killed_in", [0, 2, 5])
def test_an_interrupted_training_ends_like_an_undisturbed_one(tmp_path, killed_in):
    undisturbed, expected = train(tmp_path / "a", 6)

    def interrupted(epoch):
        for index, batch in enumerate(batches(epoch)):
            if epoch == killed_in and index == 2:
                raise KilledError
            yield batch

    with pytest.raises(KilledError):
        train(tmp_path / "b", 6, interrupted)
    resumed, history = train(tmp_path / "b", 6)
    assert history == expected
    for ours, theirs in zip(resumed.parameters(), undisturbed.parameters(), strict=True):
        assert torch.equal(ours, theirs)


def test_kill_9_in_the_middle_then_resume(tmp_path):
    """A real process, killed for good, leaves a checkpoint that a second one goes on from."""
    program = textwrap.dedent(
        f"""
        import sys, time
        sys.path.insert(0, {str(Path(__file__).parent)!r})
        import test_fitting as t
        from pathlib import Path
        def slow(epoch):
            for batch in t.batches(epoch):
                time.sleep(0.05 if epoch < 3 else 30)
                yield batch
            print("epoch", epoch, flush=True)
        t.train(Path({str(tmp_path / "b")!r}), 6, slow)
        """
    )
    process = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
    assert process.stdout is not None
    while b"epoch 2" not in process.stdout.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    _, expected = train(tmp_path / "a", 6)
    _, history = train(tmp_path / "b", 6)
    assert history == expected


def test_a_damaged_checkpoint_is_named(tmp_path):
    train(tmp_path, 1)
    (tmp_path / "checkpoint.pt").write_bytes(b"not a checkpoint")
    with pytest.raises(DataError, match=r"checkpoint\.pt: not a checkpoint that can be read"):
        train(tmp_path, 2)


def test_a_stage_of_other_settings_is_never_continued(tmp_path):
    train(tmp_path, 1)
    with pytest.raises(ParameterError, match="other settings"):
        StageFolder(tmp_path, "other")
    StageFolder(tmp_path, "settings").finish({"seconds": 1})
    assert not (tmp_path / "checkpoint.pt").exists()
    with pytest.raises(ParameterError, match="other settings"):
        StageFolder(tmp_path, "other")


def test_fingerprint_sees_every_part():
    base = fingerprint({"a": 1}, torch.zeros(2), "x")
    assert base == fingerprint({"a": 1}, torch.zeros(2), "x")
    others = [
        fingerprint({"a": 2}, torch.zeros(2), "x"),
        fingerprint({"a": 1}, torch.ones(2), "x"),
        fingerprint({"a": 1}),
    ]
    assert base not in others


def test_schedule_rises_then_falls_to_zero():
    factor = cosine_with_warmup(0.1)
    assert factor(0) < 0.02
    assert factor(0.1) == pytest.approx(1)
    assert factor(1) == pytest.approx(0)


def test_a_training_that_diverges_stops_with_a_word(tmp_path):
    def broken(epoch):
        for batch in batches(epoch):
            yield {**batch, "y": batch["y"] * float("nan")}

    with pytest.raises(ParameterError, match=r"the loss of epoch 1 is nan; lower its learning_rate"):
        train(tmp_path, 2, broken)
