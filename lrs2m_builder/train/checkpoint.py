"""The folder of a run: its settings, its metrics, and checkpoints from which it resumes exactly.

RUN/config.json                  all settings, the data, the held-out data, the initial model
RUN/metrics.jsonl                one line per step
RUN/tensorboard/                 the same for TensorBoard, if enabled
RUN/checkpoints/step-000500.pt   weights, optimizer, random numbers, data position; its last line is its checksum
RUN/checkpoints/best-000500.pt   the weights of the best step, with keep_best
RUN/model/                       the trained model, once the run is finished

Only the first process writes here; the others load the checkpoint that it chooses.
"""

from __future__ import annotations

import dataclasses
import json
import os
import pickle
import random
import re
import shutil
import socket
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from lrs2m_builder import __version__
from lrs2m_builder.clip.sealed import check_seal, seal, stated_hash
from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.files import disk_errors, finished_file, read_json, write_json
from lrs2m_builder.terminal import say
from lrs2m_builder.train.config import SPEED_ONLY, TrainConfig
from lrs2m_builder.train.loss import world_size
from lrs2m_builder.train.mixture import Part
from lrs2m_builder.train.processes import first_process, refuse_together

NOT_A_CHECKPOINT = (OSError, RuntimeError, pickle.UnpicklingError, EOFError, KeyError, ValueError)
_NAME = re.compile(r"step-(\d{6}|[1-9]\d{6,})\.pt")
SEEN_WITHIN_S = 20.0  # a network disk may show another machine's files late


@dataclass(frozen=True, slots=True)
class Saved:
    """A complete checkpoint."""

    path: Path
    seal: str


class RunFolder:
    """The folder that a run writes to."""

    def __init__(
        self, out_dir: Path, config: TrainConfig, data: Sequence[Path | str], eval_data: Sequence[Path] = ()
    ) -> None:
        self.out_dir = out_dir
        self.model_dir = out_dir / "model"
        self.tensorboard_dir = out_dir / "tensorboard"
        self._checkpoints = out_dir / "checkpoints"
        self._metrics = out_dir / "metrics.jsonl"
        self._keep = config.keep_checkpoints
        self._path = out_dir / "config.json"
        self._settings: dict[str, Any] = {
            "config": _plain(config),
            "data": [str(path) for path in data],
            "eval_data": [str(path) for path in eval_data],
        }

    def check(self) -> int:
        """Check that the folder is new, or holds a run with the same settings; returns the pairs per process and step.

        These are the setting's or, in a run that resumes with another number of processes, those that keep the pairs
        per step of all processes.

        Raises:
            UserError: it holds a run with other settings, or other files.
        """
        if self._path.exists():
            stored = read_json(self._path)
            self._compare(stored)
            return self._batch_size(stored)
        if self.out_dir.exists() and (
            not self.out_dir.is_dir() or any(path.name[0] != "." for path in self.out_dir.iterdir())
        ):
            raise UserError(f"{self.out_dir}: not empty and no training run; give a new folder")
        return int(self._settings["config"]["batch_size"])

    def write_settings(self, start_revision: str, parts: Sequence[Part]) -> None:
        """Write config.json: the settings, the versions, and what an epoch uses of each subset."""
        made_with = {"start_revision": start_revision, "version": __version__, "torch": torch.__version__}
        made_with |= {"processes": world_size()}
        write_json(
            self._path, self._settings | made_with | {"trained_on": [dataclasses.asdict(part) for part in parts]}
        )

    def save(self, step: int, state: dict[str, Any]) -> None:
        """Write a complete checkpoint, then remove the oldest."""
        with disk_errors(self._metrics), self._metrics.open("a") as file:
            os.fsync(file.fileno())  # metrics up to this step are on the disk before the checkpoint
        with finished_file(self._checkpoints / f"step-{step:06d}.pt") as part:
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
        for path in self._checkpoints.glob("best-*.pt"):
            if path != self._best(step) and int(path.stem.removeprefix("best-")) <= until:
                path.unlink()

    def _best(self, step: int) -> Path:
        return self._checkpoints / f"best-{step:06d}.pt"

    def _remove_oldest(self) -> None:
        for _, old in self._saved()[: -self._keep]:
            old.unlink()

    def load_latest(self) -> dict[str, Any] | None:
        """Load the last complete checkpoint, the same in every process, or None; restores the random number generators.

        Damaged checkpoints are reported and skipped.

        Raises:
            UserError: no checkpoint is complete, or a process does not see the one chosen by the first process.
        """
        saved = first_process(self._last_whole)
        if saved is None:
            return None
        refuse_together(self._not_seen(saved))
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
        """Prepare to write after a step: remove later metrics lines and unfinished files.

        Checkpoints after that step are damaged, or they would have been loaded: they are renamed.
        """
        with disk_errors(self.out_dir):
            for number, path in self._saved():
                if number > step:
                    path.replace(path.with_name(f"{path.name}.damaged"))
            for path in self._checkpoints.glob("best-*.pt"):
                if int(path.stem.removeprefix("best-")) > step:
                    path.unlink()
            for part in (*self._checkpoints.glob(".*.part"), *self.out_dir.glob(".*.part")):
                shutil.rmtree(part) if part.is_dir() else part.unlink()
            self._rewrite([line for line in self._lines() if line["step"] <= step])
            self._remove_oldest()

    def check_is_shared(self) -> None:
        """Check that all processes see the folder that the first one wrote its settings to.

        Raises:
            UserError: a process does not see it.
        """
        stated = first_process(self._path.read_text)
        deadline = time.monotonic() + SEEN_WITHIN_S
        while (text := self._text()) != stated and time.monotonic() < deadline:
            time.sleep(1.0)
        refuse_together(None if text == stated else self._elsewhere(self._path))

    def write_metrics(self, line: dict[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        with disk_errors(self._metrics), self._metrics.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def add_to_metrics(self, step: int, values: dict[str, Any]) -> None:
        """Add figures that were measured later to the line of a step."""
        self._rewrite([line | values if line["step"] == step else line for line in self._lines()])

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
                f"{self._checkpoints}: none of {len(problems)} checkpoints is complete ({problems[0]}); put a copy of "
                "one back, or train in a new folder"
            )
        return None

    def _not_seen(self, saved: Saved) -> str | None:
        """Why this process cannot load a checkpoint chosen by the first one."""
        deadline = time.monotonic() + SEEN_WITHIN_S
        while True:
            with suppress(OSError, ValueError):
                if stated_hash(saved.path) == saved.seal:
                    return None
            if time.monotonic() >= deadline:
                return self._elsewhere(saved.path)
            time.sleep(1.0)

    def _elsewhere(self, path: Path) -> str:
        return (
            f"{path}: written by the first process, but missing on {socket.gethostname()}; give an --out on a "
            "disk that all machines of the run share"
        )

    def _text(self) -> str:
        try:
            return self._path.read_text()
        except (OSError, ValueError):
            return ""

    def _lines(self) -> list[dict[str, Any]]:
        if not self._metrics.exists():
            return []
        lines = []
        for text in self._metrics.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # half a line: the process was killed while writing, and the step is repeated
            if isinstance(line, dict) and isinstance(line.get("step"), int):
                lines.append(line)
        return lines

    def _rewrite(self, lines: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        if not self._metrics.exists() or self._metrics.read_bytes() == text.encode():
            return
        with finished_file(self._metrics) as part:
            part.write_text(text, encoding="utf-8")

    def _saved(self) -> list[tuple[int, Path]]:
        """Step and path of the checkpoints, by step; other files are ignored."""
        if not self._checkpoints.is_dir():
            return []
        named = ((_NAME.fullmatch(path.name), path) for path in self._checkpoints.iterdir())
        return sorted((int(name[1]), path) for name, path in named if name)

    def _compare(self, stored: dict[str, Any]) -> None:
        # An earlier version did not have the newest settings: it trained with their present defaults.
        config = stored.get("config")
        if not isinstance(config, dict):
            raise UserError(f"{self._path}: not the settings of a training run; give a new folder")
        earlier: dict[str, Any] = {"data": stored.get("data"), **_plain(TrainConfig()), **config}
        for key, value in {**self._settings["config"], "data": self._settings["data"]}.items():
            before = earlier[key]
            if key not in {*SPEED_ONLY, "batch_size"} and before != value:
                raise UserError(
                    f"{self._path.parent}: was trained with {key}={before}, now {key}={value}; give the same settings "
                    f"to resume, or a new folder"
                )

    def _batch_size(self, stored: dict[str, Any]) -> int:
        """The pairs per process with which a run goes on, so that its pairs per step stay.

        Raises:
            UserError: other pairs per step are asked for, or the processes cannot share those of the run.
        """
        now, before = int(self._settings["config"]["batch_size"]), int(stored["config"]["batch_size"])
        processes, earlier = world_size(), int(stored.get("processes", world_size()))
        total = before * earlier
        run = f"{self.out_dir}: was trained with {total} pairs per step ({earlier} x batch_size {before})"
        fitting = [number for number in range(1, total // 2 + 1) if total % number == 0]
        if processes not in fitting:
            below, above = max(n for n in fitting if n < processes), [n for n in fitting if n > processes][:1]
            raise UserError(
                f"{run}, which {processes} processes cannot share; use {' or '.join(map(str, [below, *above]))}"
            )
        if now != before and now * processes != total:
            raise UserError(
                f"{run}, now {now * processes} ({processes} x {now}); give batch_size={total // processes} to resume, "
                "or a new folder"
            )
        if processes != earlier and self._settings["config"]["pcm"] == "local":
            raise UserError(
                f"{run}, and pcm=local depends on the batch of each process; use {earlier} processes, or a new folder"
            )
        if processes != earlier:
            say(f"{run}; now {processes} x {total // processes}")
        return total // processes


def _plain(config: TrainConfig) -> dict[str, Any]:
    """The settings after a round trip through JSON."""
    plain: dict[str, Any] = json.loads(json.dumps(dataclasses.asdict(config)))
    return plain


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
