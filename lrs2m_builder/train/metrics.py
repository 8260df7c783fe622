"""The metrics of a run: metrics.jsonl, one line per step."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from lrs2m_builder.files import disk_errors, finished_file


class Metrics:
    """The lines of a run's steps, which only the first process writes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, line: dict[str, Any]) -> None:
        """Append a line to metrics.jsonl."""
        with disk_errors(self._path), self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")

    def add(self, step: int, values: dict[str, Any]) -> None:
        """Add figures that were measured later to the line of a step."""
        self._rewrite([line | values if line["step"] == step else line for line in self._lines()])

    def drop_after(self, step: int) -> None:
        """Remove the lines of later steps, and torn ones."""
        self._rewrite([line for line in self._lines() if line["step"] <= step])

    def sync(self) -> None:
        """Have all lines on the disk."""
        with disk_errors(self._path), self._path.open("a") as file:
            os.fsync(file.fileno())

    def _lines(self) -> list[dict[str, Any]]:
        if not self._path.exists():
            return []
        lines = []
        for text in self._path.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                line = json.loads(text)
            except ValueError:
                continue  # half a line: the process was killed while writing, and the step is repeated
            if isinstance(line, dict) and isinstance(line.get("step"), int):
                lines.append(line)
        return lines

    def _rewrite(self, lines: list[dict[str, Any]]) -> None:
        text = "".join(json.dumps(line) + "\n" for line in lines)
        if not self._path.exists() or self._path.read_bytes() == text.encode():
            return
        with finished_file(self._path) as part:
            part.write_text(text, encoding="utf-8")
