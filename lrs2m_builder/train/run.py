"""Trains a CLIP on long and short texts: one loop, in one process or in several under torchrun.

A stopped or killed run resumes from its last checkpoint: in one CPU process with the same losses, bit by
bit, as an uninterrupted run.
"""

from __future__ import annotations

import dataclasses
import math
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lrs2m_builder.clip.model import Loaded
from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.stores.lock import locked
from lrs2m_builder.terminal import say
from lrs2m_builder.train.config import TrainConfig, with_batch_size
from lrs2m_builder.train.loading import Batch
from lrs2m_builder.train.loss import Losses, LossSettings, rank, world_size
from lrs2m_builder.train.optim import learning_rate, long_weight, set_rate
from lrs2m_builder.train.processes import Stop, first_process, is_peer_lost, join_processes, stop_flag
from lrs2m_builder.train.readout import FinishedStep, Readout
from lrs2m_builder.train.run_folder import RunFolder
from lrs2m_builder.train.state import TrainingRun
from lrs2m_builder.train.step import accumulate_gradient
from lrs2m_builder.train.streaming import Streamed

Autocast = Callable[[], AbstractContextManager[Any]]
Evaluate = Callable[[Loaded], dict[str, float]]
MakeEvaluate = Callable[[Loaded], Evaluate]
READ_LATE = {"cuda"}  # devices that compute while the host goes on
AUTOCAST = {"bf16": torch.bfloat16, "fp16": torch.float16}


def train(
    config: TrainConfig,
    data: Sequence[Path | Streamed],
    *,
    out_dir: Path,
    make_evaluate: MakeEvaluate | None = None,
    eval_data: Sequence[Path] = (),
) -> Path:
    """Train on the Parquet files of folders, files and streamed data; returns the folder of the trained model.

    Args:
        make_evaluate: given the initial model, returns a function that measures the model every `eval_every` steps and
            after the last, in the first process; its figures go into the metrics as "eval_NAME".
        eval_data: what it measures on; recorded for --resume.

    Raises:
        UserError: settings or data that cannot be used, a loss that is not finite, too little memory.
        KeyboardInterrupt: stopped by a signal; a checkpoint was written.
    """
    names = [each.name if isinstance(each, Streamed) else str(each.resolve()) for each in data]
    held_out = [path.resolve() for path in eval_data]
    with stop_flag() as stop, join_processes(config.device) as device, ExitStack() as held:
        config = with_batch_size(config, first_process(RunFolder(out_dir, config, names).check))
        folder = RunFolder(out_dir, config, names, held_out)
        if not first_process(folder.model_dir.exists):
            first_process(lambda: held.enter_context(locked(out_dir, "training")))
        if first_process(folder.model_dir.exists):
            if rank() == 0:
                say(f"{folder.model_dir} is already trained")
            return folder.model_dir
        with _plain_errors() as step_of:
            run = step_of.run = TrainingRun.begin(config, data, device, folder)
            evaluate = make_evaluate(run.loaded) if make_evaluate and rank() == 0 else None
            first_process(partial(_check_keep_best, config, evaluate))
            try:
                with stop.noted():
                    _loop(run, stop, evaluate)
                    run.save_model()
            finally:
                run.close()
        return folder.model_dir


@dataclass
class _Doing:
    """Holds the run once it has begun."""

    run: TrainingRun | None = None


@contextmanager
def _plain_errors() -> Iterator[_Doing]:
    """Turn errors that are not bugs into one line: out of memory, or a killed process."""
    doing = _Doing()
    try:
        yield doing
    except (torch.OutOfMemoryError, MemoryError) as error:
        if doing.run is None:
            raise
        raise UserError(_memory_message(doing.run)) from error
    except RuntimeError as error:
        if "allocate memory" in str(error) and doing.run is not None:
            raise UserError(_memory_message(doing.run)) from error
        if "DataLoader worker" in str(error):
            raise UserError(
                "a process that reads images was killed, probably for lack of memory; the same command resumes from "
                "the last checkpoint; if it happens again, use a smaller pool_rows or fewer workers, and a new folder"
            ) from error
        if is_peer_lost(error):
            raise UserError(
                "another process of this training ended, and so did the training (see its message); the same "
                "command resumes from the last checkpoint"
            ) from error
        raise


def _loop(run: TrainingRun, stop: Stop, evaluate: Evaluate | None) -> None:
    """Train to the last step.

    A GPU is given the next step while it computes this one: the losses of a step are read after the next one is
    enqueued, or before something is measured, saved or ended.
    """
    config = run.config
    settings = _loss_settings(config)
    autocast = _autocast(run)
    if run.is_unmeasured:
        _measure_again(run, stop, evaluate)
    started = time.perf_counter()
    batches = iter(run.batches)
    before: FinishedStep | None = None
    while run.step < run.total_steps:
        batch = next(batches)
        run.step += 1
        lr = learning_rate(run.step, run.total_steps, config)
        weight = long_weight(run.step, run.total_steps, config)
        set_rate(run.optimizer, lr)
        losses = accumulate_gradient(
            run.towers,
            batch.to(run.device),
            settings,
            long_weight=weight,
            micro_batch=config.micro_batch,
            autocast=autocast,
            loss_factor=run.scaler.scale,
        )
        if batch.problem:
            say(f"an image was replaced: {batch.problem}")
        run.scaler.unscale_(run.optimizer)
        if config.clip_gradient is not None:
            nn.utils.clip_grad_norm_(run.towers.parameters(), config.clip_gradient)
        run.scaler.step(run.optimizer)
        run.scaler.update()
        run.optimizer.zero_grad(set_to_none=True)
        with torch.no_grad():
            run.loaded.model.logit_scale.clamp_(max=math.log(config.max_logit_scale))
        if run.average:
            run.average.update(run.loaded.model)

        readout = _readout(run, losses, batch, stop)
        stop_now = _report(run, before) > 0
        seconds = time.perf_counter() - started
        before = FinishedStep(run.step, lr, weight, run.batches.epoch, run.batches.number, seconds, readout)
        is_due = run.step % config.eval_every == 0 or run.step == run.total_steps
        saves = run.step % config.checkpoint_every == 0 or run.step == run.total_steps
        is_asked = world_size() == 1 and stop.requested
        if run.device.type not in READ_LATE or is_due or saves or stop_now or is_asked:
            values = _finite(before)
            measured = _measure(run.loaded, stop, evaluate, autocast) if is_due else {}
            run.note_best(measured or {})
            run.log(before, values, measured=measured or {})
            run.is_unmeasured = measured is None
            before = None
            stop_now = stop_now or values["stop"] > 0 or (is_due and _anywhere(stop.requested, run.device))
            if stop_now or saves:
                run.save_checkpoint()
        if stop_now and (run.step < run.total_steps or _anywhere(run.is_unmeasured, run.device)):
            raise KeyboardInterrupt
        started = time.perf_counter()


def _autocast(run: TrainingRun) -> Autocast:
    """The context of the forward pass, in training and when it measures."""
    dtype = AUTOCAST.get(run.config.precision)
    return partial(torch.autocast, run.device.type, dtype=dtype) if dtype else nullcontext


def _readout(run: TrainingRun, losses: Losses, batch: Batch, stop: Stop) -> Readout:
    """Mean losses, and counts of unreadable images and of stop requests, summed over processes; the logit scale."""
    means = {"loss": losses.total, "loss_long": losses.long, "loss_short": losses.short}
    summed: dict[str, Tensor | float] = {
        name: value.detach().double() / world_size() for name, value in means.items() if value is not None
    }
    summed |= {"unreadable": float(batch.num_unreadable), "stop": float(stop.requested)}
    return Readout(summed, {"log_scale": run.loaded.model.logit_scale}, run.device)


def _report(run: TrainingRun, step: FinishedStep | None) -> float:
    """Log an earlier step; returns how many processes were asked to stop when it ended."""
    if step is None:
        return 0.0
    values = _finite(step)
    run.log(step, values)
    return values["stop"]


def _finite(step: FinishedStep) -> dict[str, float]:
    """The values of a step.

    Raises:
        UserError: the loss is not finite.
    """
    values = step.readout.read()
    if not math.isfinite(values["loss"]):
        raise UserError(
            f"the loss of step {step.number} is {values['loss']} at lr {step.lr:.2e}; nothing after the last "
            f"checkpoint was kept: use a smaller lr, precision=bf16 or fp32, or clip_gradient=1.0, and a new folder"
        )
    return values


def _check_keep_best(config: TrainConfig, evaluate: Evaluate | None) -> None:
    """Check that what decides which weights are kept is measured.

    Raises:
        UserError: it is not.
    """
    if config.keep_best is None:
        return
    if evaluate is None:
        raise UserError(f"keep_best={config.keep_best} is a figure on held-out data: give --eval-data")
    names = getattr(evaluate, "names", None)
    if names is not None and config.keep_best not in names:
        raise UserError(
            f"keep_best={config.keep_best}: not measured on this --eval-data{not_among(config.keep_best, names)}"
        )


def _measure(loaded: Loaded, stop: Stop, evaluate: Evaluate | None, autocast: Autocast) -> dict[str, float] | None:
    """The evaluation's figures; None if a signal interrupted it."""
    if evaluate is None:
        return {}
    try:
        with stop.noted(False), autocast():
            return evaluate(loaded)
    except KeyboardInterrupt:
        loaded.model.train()
        return None


def _measure_again(run: TrainingRun, stop: Stop, evaluate: Evaluate | None) -> None:
    """Repeat an evaluation that was interrupted after the step from which the run resumes."""
    measured = _measure(run.loaded, stop, evaluate, _autocast(run))
    if _anywhere(measured is None, run.device):
        raise KeyboardInterrupt
    run.note_best(measured or {})
    run.add_measured(measured or {})
    run.is_unmeasured = False


def _anywhere(flag: bool, device: torch.device) -> bool:
    """Whether the flag is set in any process."""
    if world_size() == 1:
        return flag
    total = torch.tensor(float(flag), device=device)
    dist.all_reduce(total)
    return bool(total)


def _loss_settings(config: TrainConfig) -> LossSettings:
    return LossSettings(**{field.name: getattr(config, field.name) for field in dataclasses.fields(LossSettings)})


def _memory_message(run: TrainingRun) -> str:
    config = run.config
    part = config.micro_batch or config.batch_size
    return (
        f"out of memory in step {run.step} with {part} pairs at once; run again with micro_batch={max(1, part // 2)} "
        f"(the same loss, a third slower) or gradient_checkpointing=true"
    )
