"""The data folder of the source `sample`, whose scenes are drawn on this machine."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from lrs2m_builder.files import disk_errors
from lrs2m_builder.sample.formats import MANIFEST, write_sample_source
from lrs2m_builder.terminal import say

SOURCE = "sample"  # the shipped manifest that reads such a folder
NUM_SCENES = 96


def drawn_world() -> Path:
    """The scenes of the source `sample`, drawn into the user's cache at first use; returns the folder.

    Raises:
        UserError: the disk is full or fails.
    """
    folder = cache_dir() / f"sample-{_code_version()}-{NUM_SCENES}"
    if not folder.is_dir():
        _draw(folder)
    return folder


def cache_dir() -> Path:
    """The folder of drawn scenes: `lrs2m` in the user's cache folder (XDG_CACHE_HOME)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lrs2m"


def _draw(folder: Path) -> None:
    say(f"drawing {NUM_SCENES} scenes into {folder}")
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            write_sample_source("world", part, NUM_SCENES)
            (part / MANIFEST).unlink()  # the shipped manifest reads this folder
            part.chmod(0o755)
            if not folder.is_dir():  # another process may have finished first: its scenes are the same
                part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _code_version() -> str:
    """A hash of the drawing code and its words: when they change, other scenes may be drawn."""
    folder = Path(__file__).parent
    files = sorted([*folder.rglob("*.py"), folder / "words.yaml"])
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:10]
