"""The folder of a run: its settings, its metrics, and checkpoints from which it resumes exactly.

RUN/config.json                  all settings, the data, the held-out data, the initial model
RUN/metrics.jsonl                one line per step
RUN/tensorboard/                 the same for TensorBoard, if enabled
RUN/checkpoints/                 the checkpoints (see `checkpoint.py`)
RUN/model/                       the trained model, once the run is finished

Only the first process writes here; the others load the checkpoint that it chooses.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors
from lrs2m_builder.train.checkpoint import Checkpoints
from lrs2m_builder.train.config import TrainConfig
from lrs2m_builder.train.metrics import Metrics
from lrs2m_builder.train.processes import first_process, refuse_unless_seen
from lrs2m_builder.train.run_settings import RunSettings


class RunFolder:
    """The folder that a run writes to."""

    def __init__(
        self, out_dir: Path, config: TrainConfig, data: Sequence[Path | str], eval_data: Sequence[Path] = ()
    ) -> None:
        self.out_dir = out_dir
        self.model_dir = out_dir / "model"
        self.tensorboard_dir = out_dir / "tensorboard"
        self.settings = RunSettings(out_dir / "config.json", config, data, eval_data)
        self.metrics = Metrics(out_dir / "metrics.jsonl")
        self.checkpoints = Checkpoints(out_dir / "checkpoints", config.keep_checkpoints)

    def check(self) -> int:
        """Check that the folder is new, or holds a run with the same settings; returns the pairs per process and step.

        Raises:
            UserError: it holds a run with other settings, or other files.
        """
        if (
            not self.settings.path.exists()
            and self.out_dir.exists()
            and (not self.out_dir.is_dir() or any(path.name[0] != "." for path in self.out_dir.iterdir()))
        ):
            raise UserError(f"{self.out_dir}: not empty and no training run; give a new folder")
        return self.settings.check()

    def check_is_shared(self) -> None:
        """Check that all processes see the folder that the first one wrote its settings to.

        Raises:
            UserError: a process does not see it.
        """
        path = self.settings.path
        stated = first_process(path.read_text)
        refuse_unless_seen(path, lambda: _text(path) == stated)

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a complete checkpoint, then remove the oldest; its metrics are on the disk before it."""
        self.metrics.sync()
        self.checkpoints.save(step, state)

    def go_on_after(self, step: int) -> None:
        """Prepare to write after a step: remove later metrics lines and unfinished files."""
        with disk_errors(self.out_dir):
            for part in (*self.out_dir.glob(".*.part"), *self.out_dir.glob("checkpoints/.*.part")):
                shutil.rmtree(part) if part.is_dir() else part.unlink()
            self.metrics.drop_after(step)
            self.checkpoints.go_on_after(step)


def _text(path: Path) -> str:
    try:
        return path.read_text()
    except (OSError, ValueError):
        return ""
