"""The batches of a process in the order of the plan, made in worker processes; resumes exactly at any position."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import fields
from functools import partial
from typing import Any

import torch
from torch.utils.data import DataLoader

from lrs2m_builder.errors import UserError
from lrs2m_builder.stopping import signals_kept_from_children
from lrs2m_builder.train.index import RowIndex
from lrs2m_builder.train.loading import Batch, BatchRows, ReadSettings
from lrs2m_builder.train.mixture import Order, Part, parts_of
from lrs2m_builder.train.plan import VERSION, EpochPlan, count_batches, make_plan
from lrs2m_builder.train.processes import die_with, die_with_parent


class Batches:
    """Endless iterator over the batches of a process, epoch after epoch, from a position on.

    A new loader given the `state_dict()` taken after a batch continues with the next batch. The same seed and batch
    size of all processes give the same batches of all processes, whatever the number of these and of workers.
    """

    def __init__(
        self,
        index: RowIndex,
        order: Order,
        reading: ReadSettings,
        *,
        rank: int = 0,
        world_size: int = 1,
        workers: int = 0,
        pin_memory: bool = False,
    ) -> None:
        self._index, self._order, self._reading = index, order, reading
        self._rank, self._world_size, self._workers = rank, world_size, workers
        self._pin_memory = pin_memory
        self._plan_epoch = -1
        self._plan: EpochPlan | None = None
        self.epoch = self.number = 0

    def num_batches(self, epoch: int) -> int:
        """Number of batches of an epoch."""
        return count_batches(self._index, self._order, epoch, self._world_size)

    def parts(self) -> list[Part]:
        """What an epoch uses of each subset."""
        return parts_of(self._index, self._order)

    def state_dict(self) -> dict[str, Any]:
        """The position: the next batch's number in its epoch, and the settings that determine the order."""
        return {"epoch": self.epoch, "number": self.number, "order": self._identity()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue at a position.

        Raises:
            UserError: the position belongs to other data or another order.
        """
        identity = self._identity()
        if changed := [name for name in identity if identity[name] != state["order"].get(name)]:
            raise UserError(
                f"the checkpoint was made with another {changed[0]} ({state['order'].get(changed[0])}, now "
                f"{identity[changed[0]]}), so its data position is not valid here; give the same, or a new folder"
            )
        self.epoch, self.number = state["epoch"], state["number"]

    def __iter__(self) -> Iterator[Batch]:
        while True:
            plan = self._planned(self.epoch)
            rows = BatchRows(self._index, plan, self._reading, (self._order.seed, self.epoch), start=self.number)
            loader = DataLoader(
                rows,
                batch_size=None,
                sampler=range(self.number, len(plan)),
                num_workers=self._workers,
                collate_fn=_as_it_is,
                worker_init_fn=partial(_start_worker, os.getpid()),
                pin_memory=self._pin_memory,
                prefetch_factor=4 if self._workers else None,
                generator=torch.Generator(),  # so that the workers' seed does not use the run's random numbers
            )
            for batch in _with_plain_errors(loader):
                self.number += 1
                yield batch
            self.epoch, self.number = self.epoch + 1, 0

    def _planned(self, epoch: int) -> EpochPlan:
        if self._plan is None or self._plan_epoch != epoch:
            self._plan = make_plan(self._index, self._order, epoch, self._rank, self._world_size)
            self._plan_epoch = epoch
        return self._plan

    def _identity(self) -> dict[str, Any]:
        order = {field.name: getattr(self._order, field.name) for field in fields(self._order)}
        order["weights"] = dict(sorted(self._order.weights.items()))
        return {"data": self._index.fingerprint, "shuffle": VERSION, **order}


def _with_plain_errors(loader: Iterable[Batch]) -> Iterator[Batch]:
    """Yield the batches; a worker's UserError is the last line of the traceback that the DataLoader raises."""
    try:
        with signals_kept_from_children():
            batches = iter(loader)
        yield from batches
    except UserError as error:
        raise UserError(
            str(error).strip().splitlines()[-1].removeprefix(f"{UserError.__module__}.UserError: ")
        ) from None


def _as_it_is(batch: Batch) -> Batch:
    return batch


def _start_worker(trainer: int, number: int) -> None:
    """Set up a worker: it ends with the training process and uses one core."""
    die_with_parent()
    die_with(trainer)
    torch.set_num_threads(1)
