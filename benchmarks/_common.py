"""Shared by the benchmarks: the real images, a manifest with one row per image, and measuring a command."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path

import psutil
import yaml

from lrs2m_builder.declared.shipped import find


def real_data() -> Path:
    """The folder of real images and captions (LRS2M_REAL_DATA)."""
    folder = Path(os.environ.get("LRS2M_REAL_DATA", "../shared/data"))
    if not folder.is_dir():
        raise SystemExit(f"{folder}: no such folder; set LRS2M_REAL_DATA to a folder with UCM-Captions and UC Merced")
    return folder


def one_row_an_image(folder: Path) -> Path:
    """A copy of the ucmerced manifest with one sample per image, so that no image is decoded twice."""
    manifest = yaml.safe_load(find("manifests", "ucmerced").read_text())
    manifest["rows"] = "image"
    path = folder / "ucmerced.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path


def measure(command: list[str], folder: Path | None = None) -> tuple[float, int]:
    """(seconds, peak resident MB of the process and its children together) of a command run in a folder."""
    start, peak = time.perf_counter(), 0
    process = psutil.Popen(command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while process.poll() is None:
        try:
            family = (process, *process.children(recursive=True))
            # Shared pages (libraries) count once per process: an upper bound.
            peak = max(peak, sum(member.memory_info().rss for member in family))
        except psutil.NoSuchProcess:
            continue
        time.sleep(0.05)
    if process.wait():
        raise SystemExit(f"failed: {' '.join(command)[:300]}")
    return time.perf_counter() - start, peak // 2**20
