"""The checkpoints of a run, from which it resumes exactly.

step-000500.pt   weights, optimizer, random numbers, data position; its last line is its checksum
best-000500.pt   the weights of the best step, with keep_best

Only the first process writes here; the others load the checkpoint that it chooses.
"""

from __future__ import annotations

import pickle
import random
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lrs2m_builder.clip.sealed import check_seal, seal, stated_hash
from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.files import finished_file
from lrs2m_builder.terminal import say
from lrs2m_builder.train.processes import first_process, refuse_unless_seen

NOT_A_CHECKPOINT = (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError)
_NAME = re.compile(r"step-(\d{6}|[1-9]\d{6,})\.pt")


@dataclass(frozen=True, slots=True)
class Saved:
    """A complete checkpoint."""

    path: Path
    seal: str

    def is_here(self) -> bool:
        """Whether this process sees it."""
        try:
            return stated_hash(self.path) == self.seal
        except (OSError, ValueError):
            return False


class Checkpoints:
    """The folder of a run's checkpoints, of which the last `keep` stay."""

    def __init__(self, folder: Path, keep: int) -> None:
        self._folder, self._keep = folder, keep

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a complete checkpoint, then remove the oldest."""
        with finished_file(self._folder / f"step-{step:06d}.pt") as part:
            torch.save({"step": step, "rng": _random_state(), **state}, part)
            seal(part)
        self._remove_oldest()

    def save_best(self, step: int, weights: dict[str, Any]) -> None:
        """Write the weights of the best step so far; those of earlier ones stay until `keep_best`."""
        with finished_file(self._best(step)) as part:
            torch.save({"step": step, "towers": weights}, part)
            seal(part)

    def load_best(self, step: int) -> dict[str, Any]:
        """The weights of the best step.

        Raises:
            UserError: they are damaged.
        """
        path = self._best(step)
        try:
            check_seal(path)
            return dict(torch.load(path, map_location="cpu", weights_only=True)["towers"])
        except NOT_A_CHECKPOINT as error:
            raise UserError(f"{path}: the weights of the best step are damaged ({one_line(error)})") from error

    def keep_best(self, step: int, *, until: int) -> None:
        """Remove the weights of other steps than the best one, up to a step."""
        for path in self._folder.glob("best-*.pt"):
            if path != self._best(step) and int(path.stem.removeprefix("best-")) <= until:
                path.unlink()

    def load_latest(self) -> dict[str, Any] | None:
        """Load the last complete checkpoint, the same in every process, or None; restores the random number generators.

        Damaged checkpoints are reported and skipped.

        Raises:
            UserError: no checkpoint is complete, or a process does not see the one chosen by the first process.
        """
        saved = first_process(self._last_whole)
        if saved is None:
            return None
        refuse_unless_seen(saved.path, saved.is_here)
        try:
            state: dict[str, Any] = torch.load(saved.path, map_location="cpu", weights_only=True)
            _set_random_state(state["rng"])
        except NOT_A_CHECKPOINT as error:
            raise UserError(
                f"{saved.path}: complete, but not a checkpoint of this version ({one_line(error)}); delete it to "
                "resume from the previous one"
            ) from error
        return state

    def go_on_after(self, step: int) -> None:
        """Prepare to write after a step: remove the best weights of later ones, and the oldest checkpoints.

        Checkpoints after that step are damaged, or they would have been loaded: they are renamed.
        """
        for number, path in self._saved():
            if number > step:
                path.replace(path.with_name(f"{path.name}.damaged"))
        for path in self._folder.glob("best-*.pt"):
            if int(path.stem.removeprefix("best-")) > step:
                path.unlink()
        self._remove_oldest()

    def _best(self, step: int) -> Path:
        return self._folder / f"best-{step:06d}.pt"

    def _remove_oldest(self) -> None:
        for _, old in self._saved()[: -self._keep]:
            old.unlink()

    def _last_whole(self) -> Saved | None:
        problems = []
        for _, path in reversed(self._saved()):
            try:
                return Saved(path, check_seal(path))
            except (OSError, ValueError) as error:
                problems.append(f"{path.name}: {one_line(error)}")
                say(f"{path}: not used, {one_line(error)}")
        if problems:
            raise UserError(
                f"{self._folder}: none of {len(problems)} checkpoints is complete ({problems[0]}); put a copy of "
                "one back, or train in a new folder"
            )
        return None

    def _saved(self) -> list[tuple[int, Path]]:
        """Step and path of the checkpoints, by step; other files are ignored."""
        if not self._folder.is_dir():
            return []
        named = ((_NAME.fullmatch(path.name), path) for path in self._folder.iterdir())
        return sorted((int(name[1]), path) for name, path in named if name)


def _random_state() -> dict[str, Any]:
    """The state of the random number generators used in training."""
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
