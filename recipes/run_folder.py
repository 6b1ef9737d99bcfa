"""What a run leaves on disk, so that a killed run goes on where it was.

    out/
      cache/<hash>.npy       outputs of frozen layers
      teacher/ direct/ v1/ v2/
        started.json         the fingerprint of the settings
        checkpoint.pt        the last finished epoch: parameters, optimizer, history
        log/                 TensorBoard
        model/               the finished model (`save_pretrained`)
        done.json            written last: the stage is finished
      results.json, predictions.ndjson, config.yaml, report.html

A stage that finds its `done.json` is not run again; one that finds a checkpoint goes on after its epoch. `done.json`
and `started.json` carry the fingerprint of the settings that the stage depends on, so that results of other settings
are never mixed in.
"""

from __future__ import annotations

import hashlib
import io
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from sketchkit import atomic
from sketchkit.errors import DataError, OutputError, ParameterError

__all__ = ["StageFolder", "clear_temporaries", "fingerprint", "make_folder", "read_json", "write_json"]


class StageFolder:
    """One stage's folder.

    Args:
        path: the folder; made when something is written.
        settings: fingerprint of what the stage depends on.

    Raises:
        ParameterError: the folder holds a stage of other settings.
    """

    def __init__(self, path: Path, settings: str) -> None:
        self.path = path
        self.settings = settings
        for name in ("done.json", "started.json"):
            found = path / name
            if found.is_file() and read_json(found).get("settings") != settings:
                raise ParameterError(
                    f"{path} holds a stage of other settings or data; choose another out=FOLDER, or remove {path}"
                )

    @property
    def model_path(self) -> Path:
        """Where the finished model lies."""
        return self.path / "model"

    def finished(self) -> dict[str, Any] | None:
        """What the finished stage recorded, or None."""
        done = self.path / "done.json"
        return read_json(done) if done.is_file() else None

    def finish(self, record: Mapping[str, Any]) -> dict[str, Any]:
        """Mark the stage as finished; the checkpoint is no longer needed and goes.

        `done.json` then holds `record` and the fingerprint of the settings; the same is returned.
        """
        written = {"settings": self.settings, **record}
        write_json(self.path / "done.json", written)
        (self.path / "checkpoint.pt").unlink(missing_ok=True)
        return written

    def save_checkpoint(self, state: Mapping[str, Any]) -> None:
        """Keep the state of a stage under way, atomically, in place of the one before.

        `state` is of tensors and plain values: `load_checkpoint` reads nothing else.
        """
        write_json(self.path / "started.json", {"settings": self.settings})
        buffer = io.BytesIO()
        torch.save(dict(state), buffer)
        atomic.write_bytes(self.path / "checkpoint.pt", buffer.getbuffer())

    def load_checkpoint(self) -> dict[str, Any] | None:
        """The state last kept, or None; opened without unpickling anything but tensors and plain values.

        Raises:
            DataError: the file is damaged.
        """
        path = self.path / "checkpoint.pt"
        if not path.is_file():
            return None
        try:
            state = torch.load(path, map_location="cpu", weights_only=True)
        except Exception as error:  # torch raises many kinds for a damaged file
            raise DataError(f"{path}: not a checkpoint that can be read; remove it to train anew ({error})") from None
        if not isinstance(state, dict):
            raise DataError(f"{path}: not a checkpoint of sketchkit; remove it to train anew")
        return state


def clear_temporaries(out: Path) -> None:
    """Remove what a killed run was writing, in `out` and all folders below it.

    These are files named as `sketchkit.atomic.replacing` names them, which nothing refers to.
    """
    for path in out.rglob(".*"):
        if path.is_file() and re.fullmatch(r"\..+\.[0-9a-f]{16}(\.\w+)?", path.name):
            path.unlink(missing_ok=True)


def make_folder(path: Path) -> Path:
    """`path` itself, made as a folder, with those above it where they are missing.

    Raises:
        OutputError: it cannot be made.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{path}: this folder cannot be made ({error.strerror}); choose another out=FOLDER") from None
    return path


def fingerprint(*parts: Any) -> str:
    """SHA-256 of JSON-like values, arrays and tensors included."""
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            digest.update(part.detach().cpu().contiguous().numpy().tobytes())
        elif hasattr(part, "tobytes"):
            digest.update(part.tobytes())
        else:
            digest.update(json.dumps(part, sort_keys=True, default=str).encode())
        digest.update(b"\0")
    return digest.hexdigest()


def read_json(path: Path) -> dict[str, Any]:
    """The JSON object in the file `path`.

    Raises:
        DataError: the file holds none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise DataError(f"{path}: damaged ({error}); remove it and run again") from None
    if not isinstance(value, dict):
        raise DataError(f"{path}: damaged (no JSON object); remove it and run again")
    return value


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` to `path` as a JSON object, atomically, the folder made where needed.

    Raises:
        OutputError: the folder cannot be written, the disk is full.
    """
    make_folder(path.parent)
    atomic.write_text(path, json.dumps(value, indent=1, ensure_ascii=False) + "\n")
