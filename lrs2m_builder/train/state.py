"""The state of a training run: model, optimizer, data position and step; how it is saved and restored."""

from __future__ import annotations

import dataclasses
import math
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from lrs2m_builder.clip.model import RANDOM, Loaded, compile_towers, load, random_model
from lrs2m_builder.clip.preprocess import Normalise, ToPixels
from lrs2m_builder.clip.save import save
from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import say
from lrs2m_builder.train.config import TrainConfig
from lrs2m_builder.train.data import Batches
from lrs2m_builder.train.index import Best, read_index
from lrs2m_builder.train.loading import COLUMNS, ReadSettings
from lrs2m_builder.train.loss import rank, world_size
from lrs2m_builder.train.mixture import Order
from lrs2m_builder.train.optim import Average, fitted_warmup, freeze_positions, make_optimizer, move_between
from lrs2m_builder.train.pcm import check_k
from lrs2m_builder.train.plan import BUCKET
from lrs2m_builder.train.processes import first_process, peak_memory
from lrs2m_builder.train.progress import Progress
from lrs2m_builder.train.readout import FinishedStep
from lrs2m_builder.train.run_folder import RunFolder
from lrs2m_builder.train.step import Towers
from lrs2m_builder.train.streaming import GroupCache, Streamed
from lrs2m_builder.train.trained import Adapters, choose_trained


@dataclass
class TrainingRun:
    """Everything that changes during a run, and where it is written."""

    config: TrainConfig
    loaded: Loaded
    towers: nn.Module
    optimizer: torch.optim.Optimizer
    scaler: torch.amp.GradScaler
    average: Average | None
    batches: Batches
    total_steps: int
    folder: RunFolder
    device: torch.device
    adapters: Adapters | None = None  # LoRA's
    progress: Progress | None = None  # only in the first process
    step: int = 0
    unreadable: int = 0
    best: tuple[float, int] | None = None  # the largest value of config.keep_best, and its step
    is_unmeasured: bool = False  # the evaluation after the last step was interrupted

    @classmethod
    def begin(
        cls, config: TrainConfig, data: Sequence[Path | Streamed], device: torch.device, folder: RunFolder
    ) -> TrainingRun:
        """Load the initial model and the last checkpoint, if any."""
        torch.manual_seed(config.seed)
        random.seed(config.seed)  # unused, but a checkpoint stores its state
        if config.pcm != "off":
            check_k(config.pcm_k, config.batch_size * (world_size() if config.pcm == "global" else 1))
        loaded = load_start(config, device)
        batches = make_batches(config, data, loaded, device)
        per_epoch = sum(batches.num_batches(epoch) for epoch in range(config.epochs))
        adapters = choose_trained(loaded.model, config)
        freeze_positions(loaded.model, config.frozen_positions)
        normalise = Normalise(loaded.preprocess.mean, loaded.preprocess.std)
        towers = Towers(loaded.model, has_bias=config.objective == "sigmoid", normalise=normalise).to(device).train()
        run = cls(
            config=config,
            loaded=loaded,
            towers=towers,
            optimizer=make_optimizer(towers, config),
            scaler=torch.amp.GradScaler(device.type, enabled=config.precision == "fp16"),
            average=Average(loaded.model, config.ema) if config.ema else None,
            batches=batches,
            total_steps=min(per_epoch, config.max_steps or per_epoch),
            folder=folder,
            device=device,
            adapters=adapters,
        )
        if (state := folder.checkpoints.load_latest()) is not None:
            run.restore(state)
        if rank() == 0:
            run.report_start()
        first_process(run.make_ready)
        folder.check_is_shared()
        if rank() == 0:
            run.progress = Progress(folder, config, total_steps=run.total_steps, last_step=run.step)
        if world_size() > 1:
            run.towers = DistributedDataParallel(
                towers,
                device_ids=[device] if device.type == "cuda" else None,
                broadcast_buffers=False,  # they never change
            )
            if device.type == "cpu":
                _settle(run.towers, loaded, config)
        return run

    def report_start(self) -> None:
        """Report the step from which the run resumes, and a warm-up that is too long for the run."""
        if self.step:
            say(f"resuming after step {self.step}")
        warmup = fitted_warmup(self.total_steps, self.config)
        if warmup < self.config.warmup_steps:
            say(f"the warm-up is {warmup} of {self.total_steps} steps, not {self.config.warmup_steps}: a tenth at most")
        if self.config.objective == "softmax" and getattr(self.loaded.model.config, "logit_bias", None) is not None:
            say(f"{self.config.start} has the bias of a sigmoid loss, which objective=sigmoid trains; softmax does not")

    def make_ready(self) -> None:
        """Restore the folder to its state after the step from which the run resumes."""
        self.folder.go_on_after(self.step)
        if self.step == 0:
            self.folder.settings.write(self.loaded.revision, self.batches.parts())

    def save_checkpoint(self) -> None:
        """Write a checkpoint in the first process; all processes wait for it."""
        first_process(self._save_checkpoint)

    @property
    def own_towers(self) -> nn.Module:
        """The towers without their DDP wrapper."""
        return self.towers.module if isinstance(self.towers, DistributedDataParallel) else self.towers

    def _save_checkpoint(self) -> None:
        state = {
            "towers": self.own_towers.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "scaler": self.scaler.state_dict(),
            "average": self.average.values if self.average else None,
            "data": self.batches.state_dict(),
            "unreadable": self.unreadable,
            "is_unmeasured": self.is_unmeasured,
            "best": self.best,
        }
        self.folder.save(self.step, state)
        if self.best is not None:
            self.folder.checkpoints.keep_best(self.best[1], until=self.step)

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a checkpoint.

        Raises:
            UserError: it belongs to another model or other data.
        """
        try:
            self.towers.load_state_dict(state["towers"])
            self.optimizer.load_state_dict(state["optimizer"])
            self.scaler.load_state_dict(state["scaler"])
        except (RuntimeError, ValueError, KeyError) as error:
            why = " ".join(str(error).split())[:200]
            raise UserError(
                f"the checkpoint does not fit the model {self.config.start}: {why}; give a new folder"
            ) from error
        if self.average:
            self.average.values = {name: value.to(self.device) for name, value in state["average"].items()}
        self.batches.load_state_dict(state["data"])
        self.step, self.unreadable = state["step"], state["unreadable"]
        self.is_unmeasured = state["is_unmeasured"]
        self.best = state.get("best")

    def log(self, step: FinishedStep, values: dict[str, float], *, measured: dict[str, float] | None = None) -> None:
        """Report a finished step.

        Args:
            values: what its readout gave: losses, unreadable images, the logarithm of the logit scale.
            measured: on held-out data, if it was measured after this step.
        """
        self.unreadable += int(values["unreadable"])
        if self.progress is None:
            return
        line: dict[str, Any] = {
            "step": step.number,
            **{name: values[name] for name in ("loss", "loss_long", "loss_short") if name in values},
            "lr": step.lr,
            "long_weight": step.long_weight,
            "logit_scale": math.exp(values["log_scale"]),
            "memory_gb": round(peak_memory(self.device) / 1e9, 3),
            "images_per_s": round(self.config.batch_size * world_size() / step.seconds, 2),
            "epoch": step.epoch,
            "batch": step.batch,
            "unreadable": self.unreadable,
            **{f"eval_{name}": value for name, value in (measured or {}).items()},
        }
        self.progress.report(line, seconds=step.seconds)

    def note_best(self, measured: dict[str, float]) -> None:
        """Keep the weights if the figure of `keep_best` is larger than ever; only the first process measures."""
        name = self.config.keep_best
        if name is None or name not in measured:
            return
        if self.best is None or measured[name] > self.best[0]:
            self.best = (measured[name], self.step)
            self.folder.checkpoints.save_best(self.step, self.own_towers.state_dict())

    def add_measured(self, measured: dict[str, float]) -> None:
        """Report figures measured after the step from which the run resumes."""
        if self.progress is not None:
            self.folder.metrics.add(self.step, {f"eval_{name}": value for name, value in measured.items()})
            self.progress.report_measured(measured, self.step)

    def close(self) -> None:
        """Close the reports of the run."""
        if self.progress is not None:
            self.progress.close()

    def save_model(self) -> None:
        """Write the trained model, averaged if configured, in the first process."""
        first_process(self._save_model)

    def _save_model(self) -> None:
        model = self.loaded.model
        if self.best is not None:
            value, step = self.best
            self.own_towers.load_state_dict(self.folder.checkpoints.load_best(step))
            say(f"saved are the weights of step {step}, with the best {self.config.keep_best}: {value:.1%}")
        if self.average:
            move_between(model, self.average.values, 0.0)
        if self.adapters is not None:
            self.adapters.merge_and_unload()
        if self.config.wise_ft < 1:
            start = dict(load_start(self.config, self.device).model.named_parameters())
            move_between(model, start, self.config.wise_ft)
        if (bias := self.own_towers.bias) is not None:
            model.config.logit_bias = bias.item()
        save(dataclasses.replace(self.loaded, model=model.eval()), self.folder.model_dir)
        say(f"trained: {self.folder.model_dir}")


def _settle(towers: nn.Module, loaded: Loaded, config: TrainConfig) -> None:
    """Make DDP build its final gradient buckets, with a step that changes nothing.

    DDP rebuilds them after its first step, and a sum over more than two processes is rounded by the position
    in the bucket: the first step of a resumed run would differ in its last bits from an uninterrupted one.
    """
    pixels_BCHW = torch.zeros(2, 3, loaded.preprocess.image_size, loaded.preprocess.image_size)
    ids_BT = loaded.tokenize(["one", "two"], trim=True)
    long_BT, short_BT = (None if config.train_on == other else ids_BT for other in ("short", "long"))
    outputs = towers(pixels_BCHW, long_BT, short_BT)
    (torch.stack([value.sum() for value in outputs.values()]).sum() * 0.0).backward()
    towers.zero_grad(set_to_none=True)


def load_start(config: TrainConfig, device: torch.device) -> Loaded:
    """The initial model, stretched to the configured context length."""
    if config.start in RANDOM:
        loaded = random_model(context_length=config.context_length, seed=config.seed, **RANDOM[config.start])
        loaded.model.to(device)
    else:
        loaded = load(config.start, context_length=config.context_length, device=device)
    if config.gradient_checkpointing:
        loaded.model.gradient_checkpointing_enable({"use_reentrant": False})
    if config.compile:
        compile_towers(loaded.model)
    return loaded


def make_batches(config: TrainConfig, data: Sequence[Path | Streamed], loaded: Loaded, device: torch.device) -> Batches:
    """The batches of this process, in the configured order."""
    order = Order(
        seed=config.seed,
        batch_size=config.batch_size * world_size(),
        pool_rows=config.pool_rows,
        weights=config.weights,
        num_pairs=config.num_pairs,
        subset_cap=config.subset_cap,
        temperature=config.temperature,
    )
    reading = ReadSettings(
        train_on=config.train_on,
        tokenize=loaded.tokenize,
        transform=ToPixels(loaded.preprocess.image_size, loaded.preprocess.squash),
        image_size=loaded.preprocess.image_size,
        length_multiple=max(config.length_multiple, BUCKET if config.compile else 1),
        image_dir=Path(config.image_dir) if config.image_dir else None,
        augment_captions=config.augment_captions,
        augment_images=config.augment_images,
        cache=_cache(config, [each for each in data if isinstance(each, Streamed)]),
    )
    return Batches(
        read_index(
            [each.folder if isinstance(each, Streamed) else each for each in data],
            COLUMNS[config.train_on],
            config.where,
            Best(config.best, config.best_by) if config.best is not None and config.best_by is not None else None,
            say=say if rank() == 0 else lambda _: None,
        ),
        order,
        reading,
        rank=rank(),
        world_size=world_size(),
        workers=config.workers,
        pin_memory=device.type == "cuda",
    )


def _cache(config: TrainConfig, data: Sequence[Streamed]) -> GroupCache | None:
    """The cache of the row groups of streamed data, which the processes of this machine share."""
    if not data:
        return None
    readers = int(os.environ.get("LOCAL_WORLD_SIZE", "1")) * max(1, config.workers)
    return GroupCache(data, ("image", *COLUMNS[config.train_on]), int(config.cache_gb * 1e9), readers)
