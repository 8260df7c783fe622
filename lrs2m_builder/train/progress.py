"""Reports a run: one line per step on the screen, in metrics.jsonl and, if enabled, for TensorBoard and wandb."""

from __future__ import annotations

import dataclasses
import hashlib
import os
from collections import deque
from statistics import median
from typing import Any

from lrs2m_builder.errors import MissingExtraError, UserError, one_line
from lrs2m_builder.terminal import duration, say
from lrs2m_builder.train.config import TrainConfig
from lrs2m_builder.train.run_folder import RunFolder

RECENT = 50  # steps from which the remaining time is estimated


class Progress:
    """Reports each finished step.

    Args:
        total_steps: of the whole run.
        last_step: the last one reported before the run was stopped; TensorBoard drops later ones.

    Raises:
        MissingExtraError: TensorBoard or wandb is enabled and not installed.
        UserError: wandb cannot start.
    """

    def __init__(self, folder: RunFolder, config: TrainConfig, *, total_steps: int, last_step: int) -> None:
        self._folder, self._total = folder, total_steps
        self._seconds: deque[float] = deque(maxlen=RECENT)
        self._writer: Any = None
        self._wandb: Any = _start_wandb(folder, config) if config.wandb else None
        if config.tensorboard:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError as error:
                raise MissingExtraError("tensorboard=true", "train", error) from error
            self._writer = SummaryWriter(str(folder.tensorboard_dir), purge_step=last_step + 1)

    def report(self, line: dict[str, Any], *, seconds: float) -> None:
        """Write a step's line.

        Args:
            line: "step", losses, rates; names that begin with "eval_" are measured on held-out data.
            seconds: duration of the step without evaluation.
        """
        self._folder.metrics.write(line)
        self._seconds.append(seconds)
        step = line["step"]
        parts = [f"step {step}/{self._total}", f"loss {line['loss']:.4f}"]
        parts += [f"{name} {line[f'loss_{name}']:.4f}" for name in ("long", "short") if f"loss_{name}" in line]
        parts += [f"lr {line['lr']:.2e}", f"scale {line['logit_scale']:.2f}", f"{line['images_per_s']:.1f} images/s"]
        parts += [f"{line['memory_gb']:.1f} GB"]
        parts += [f"at {line['epoch']}:{line['batch']}"]
        if step < self._total:
            parts += [f"{duration(median(self._seconds) * (self._total - step))} left"]
        say("  ".join(parts))
        of_step = {name: value for name, value in line.items() if name != "step" and not name.startswith("eval_")}
        self._draw({f"train/{name}": value for name, value in of_step.items()}, step)
        if measured := {name.removeprefix("eval_"): line[name] for name in line if name.startswith("eval_")}:
            self.report_measured(measured, step)

    def report_measured(self, measured: dict[str, float], step: int) -> None:
        """Report what was measured on held-out data after a step."""
        say(f"held out after step {step}: " + ", ".join(f"{k} {v:.1%}" for k, v in measured.items()))
        self._draw({f"eval/{name}": value for name, value in measured.items()}, step)

    def _draw(self, values: dict[str, float], step: int) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)
        if self._wandb is not None:
            self._wandb.log(values, step=step)

    def close(self) -> None:
        """Close the files of TensorBoard and wandb."""
        if self._writer is not None:
            self._writer.close()
        if self._wandb is not None:
            self._wandb.finish()


def _start_wandb(folder: RunFolder, config: TrainConfig) -> Any:
    """The run at wandb, the same one when a training resumes."""
    try:
        import wandb
    except ImportError as error:
        raise MissingExtraError("wandb=true", "wandb", error) from error
    out_dir = folder.out_dir.resolve()
    try:
        return wandb.init(
            project=os.environ.get("WANDB_PROJECT", "lrs2m-train"),
            name=out_dir.name,
            id=hashlib.sha256(str(out_dir).encode()).hexdigest()[:16],
            resume="allow",
            dir=str(out_dir),
            config=dataclasses.asdict(config),
            settings=wandb.Settings(console="off", silent=True),
        )
    except wandb.errors.Error as error:
        raise UserError(f"wandb: {one_line(error)}; run wandb login, or set WANDB_MODE=offline") from error
