"""The data folder of a source that is drawn: where the manifest says how many scenes, nobody has to bring any."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors
from lrs2m_builder.manifest import Manifest
from lrs2m_builder.sample.formats import MANIFEST, write_sample_source
from lrs2m_builder.terminal import say


def find_data_dir(manifest: Manifest, given: Path | None) -> Path:
    """The folder the user gives, or else the one in the cache into which the scenes are drawn at first use.

    Raises:
        UserError: no folder was given and the source is none that is drawn.
    """
    if given is not None:
        return given
    if manifest.scenes is None:
        raise UserError(f"--data-dir: source {manifest.name} needs its folder. {manifest.get}")
    folder = cache_dir() / f"sample-{_code_version()}-{manifest.scenes}"
    if not folder.is_dir():
        _draw(folder, manifest.scenes)
    return folder


def cache_dir() -> Path:
    """Where drawn scenes are kept: `lrs2m` in the user's cache folder (XDG_CACHE_HOME)."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "lrs2m"


def _draw(folder: Path, num_scenes: int) -> None:
    say(f"drawing {num_scenes} scenes into {folder}")
    with disk_errors(folder):
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=f".{folder.name}.", dir=folder.parent))
        try:
            write_sample_source("world", part, num_scenes)
            (part / MANIFEST).unlink()  # the shipped manifest reads this folder
            part.chmod(0o755)
            if not folder.is_dir():  # another process may have been faster: its scenes are the same
                part.rename(folder)
        finally:
            shutil.rmtree(part, ignore_errors=True)


def _code_version() -> str:
    """A hash of the code that draws: other code draws another world."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()[:10]
