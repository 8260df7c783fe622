"""The folder of a run: its settings, its metrics, and checkpoints from which it goes on exactly.

RUN/config.json                  all settings, the data, the start
RUN/metrics.jsonl                a line a step
RUN/tensorboard/                 the same for TensorBoard, where wanted
RUN/checkpoints/step-000500.pt   weights, optimizer, random numbers, data position
RUN/model/                       the trained model, once the run is finished
"""

from __future__ import annotations

import dataclasses
import json
import pickle
import random
from pathlib import Path
from typing import Any

import torch

from lrs2m_builder import __version__
from lrs2m_builder.clip.config import SPEED_ONLY, TrainConfig
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors, finished_file, read_json, write_json

NOT_A_CHECKPOINT = (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError)


class RunFolder:
    """Where a run writes.

    Raises:
        UserError: the folder holds a run of other settings, or something else.
    """

    def __init__(self, out_dir: Path, config: TrainConfig, data: list[Path]) -> None:
        self.model_dir = out_dir / "model"
        self.tensorboard_dir = out_dir / "tensorboard"
        self._checkpoints = out_dir / "checkpoints"
        self._metrics = out_dir / "metrics.jsonl"
        self._keep = config.keep_checkpoints
        self._path = out_dir / "config.json"
        self._settings: dict[str, Any] = {
            "config": _plain(config),
            "data": [str(path) for path in data],
        }
        if self._path.exists():
            self._compare(read_json(self._path))
        elif out_dir.exists() and (not out_dir.is_dir() or any(p.name[0] != "." for p in out_dir.iterdir())):
            raise UserError(f"{out_dir}: not empty and no training run; give a new folder")

    def write_settings(self, start_revision: str) -> None:
        """Write config.json: what was asked for, and what it was made with."""
        made_with = {"start_revision": start_revision, "version": __version__, "torch": torch.__version__}
        write_json(self._path, self._settings | made_with)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a checkpoint whole, then remove the oldest."""
        with finished_file(self._checkpoints / f"step-{step:06d}.pt") as part:
            torch.save({"step": step, "rng": _random_state(), **state}, part)
        for old in self._saved()[: -self._keep]:
            old.unlink()

    def load_latest(self) -> dict[str, Any] | None:
        """The last checkpoint, or None; random numbers go on from it, and later lines of the metrics are dropped.

        Raises:
            UserError: it cannot be read.
        """
        if not (saved := self._saved()):
            self._cut_metrics(0)
            return None
        try:
            state: dict[str, Any] = torch.load(saved[-1], map_location="cpu", weights_only=True)
            self._cut_metrics(state["step"])
            _set_random_state(state["rng"])
        except NOT_A_CHECKPOINT as error:
            why = str(error).split("\n")[0]
            raise UserError(f"{saved[-1]}: no checkpoint ({why}); delete it to go on from the one before") from error
        return state

    def write_metrics(self, line: dict[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        with disk_errors(self._metrics), self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def _cut_metrics(self, last_step: int) -> None:
        if not self._metrics.exists():
            return
        kept = []
        for line in self._metrics.read_text(encoding="utf-8").splitlines():
            try:
                if json.loads(line)["step"] <= last_step:
                    kept.append(line + "\n")
            except ValueError:
                continue  # half a line: the process was killed while it wrote, and the step is made again
        with finished_file(self._metrics) as part:
            part.write_text("".join(kept), encoding="utf-8")

    def _saved(self) -> list[Path]:
        return sorted(self._checkpoints.glob("step-*.pt"))

    def _compare(self, there: dict[str, Any]) -> None:
        # An earlier version did not know the newest settings: it trained with what is their default now.
        earlier: dict[str, Any] = {"data": there.get("data"), **_plain(TrainConfig()), **there.get("config", {})}
        for key, value in {**self._settings["config"], "data": self._settings["data"]}.items():
            before = earlier[key]
            if key not in SPEED_ONLY and before != value:
                raise UserError(
                    f"{self._path.parent}: was trained with {key}={before}, now {key}={value}; give the same settings "
                    f"to go on, or a new folder"
                )


def _plain(config: TrainConfig) -> dict[str, Any]:
    """The settings as JSON gives them back."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


def _random_state() -> dict[str, Any]:
    """The state of the generators that training may draw from."""
    version, internal, gauss = random.getstate()
    state: dict[str, Any] = {"torch": torch.get_rng_state(), "python": [version, list(internal), gauss]}
    if torch.cuda.is_available():
        state["cuda"] = torch.cuda.get_rng_state()
    return state


def _set_random_state(state: dict[str, Any]) -> None:
    torch.set_rng_state(state["torch"])
    version, internal, gauss = state["python"]
    random.setstate((version, tuple(internal), gauss))
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])
