"""Who may write to a store: one process for all of it, or one for each of its parts at the same time.

In a folder these are locks, which the system drops when a process dies. On an object store they are leases: small
objects that their holder renews; one that is not renewed for minutes may be taken over. Both save work and nothing
else: without them every shard would still be published once.
"""

from __future__ import annotations

import json
import os
import re
import secrets
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.stores._base import Store, StoredFile, StoreUnavailable, write_object
from lrs2m_builder.stores.lock import LOCK_NAME, is_locked, locked, locked_file
from lrs2m_builder.terminal import say

Part = tuple[int, int]  # number and count, from 1

RENEW_EVERY_S = 30.0
TAKEN_OVER_AFTER_S = 300.0
LOOK_EVERY_S = 5.0
_LOCK = re.compile(r"\.part-\d+-of-(\d+)\.lock")
LEASE = re.compile(r"lease(?:-\d+-of-(\d+))?\.json")


@contextmanager
def held(store: Store, part: Part | None) -> Iterator[None]:
    """Hold a store, or a part of it, while a build writes.

    Raises:
        UserError: another process holds it, or a part that overlaps; or it cannot be written.
    """
    if store.folder is None:
        with _leased(store, part):
            yield
    elif part is None:
        with locked(store.folder, "build", needs_locks=False):
            _refuse_other_locks(store.folder, lambda count: True)
            yield
    else:
        store.folder.mkdir(parents=True, exist_ok=True)
        path = store.folder / f".part-{part[0]}-of-{part[1]}.lock"
        what = f"build of part {part[0]}/{part[1]}"
        with locked_file(path, what, shown=store.folder, remove=True, needs_locks=False):
            _refuse_other_locks(store.folder, lambda count: count != part[1])
            _refuse_locked(store.folder / LOCK_NAME)
            yield


def _refuse_other_locks(folder: Path, overlaps: Callable[[int], bool]) -> None:
    for path in folder.glob(".part-*.lock"):
        if (match := _LOCK.fullmatch(path.name)) and overlaps(int(match[1])):
            _refuse_locked(path)


def _refuse_locked(path: Path) -> None:
    if holder := is_locked(path):
        raise UserError(f"{path.parent}: another {holder} is writing there; wait for it or stop it")


@contextmanager
def _leased(store: Store, part: Part | None) -> Iterator[None]:
    name = f"lease-{part[0]}-of-{part[1]}.json" if part else "lease.json"
    lease = _Lease(store, name, f"build of part {part[0]}/{part[1]}" if part else "build")
    lease.take()
    try:
        for other in [found for found in store.files() if _overlaps(found.name, name, part)]:
            wait_until_free(store, other)
        with lease.renewed():
            yield
    finally:
        lease.drop()


def _overlaps(other: str, name: str, part: Part | None) -> bool:
    """Whether another lease is one on shards of ours: a whole build's, or of parts of another number."""
    match = LEASE.fullmatch(other)
    return match is not None and other != name and (part is None or match[1] is None or int(match[1]) != part[1])


def wait_until_free(store: Store, found: StoredFile) -> None:
    """Wait until a lease is given back, or delete one whose holder is dead.

    Raises:
        UserError: its holder is alive.
    """
    try:
        holder = json.loads(store.read(found.name) or b"{}")
    except ValueError:
        holder = {}
    shown = f"{holder.get('what', 'build')} (process {holder.get('pid', 'unknown')} on {holder.get('host', 'unknown')})"
    is_here = holder.get("host") == socket.gethostname()
    if not (is_here and not _is_running(holder.get("pid"))):
        begun, is_said = time.monotonic(), False
        while time.monotonic() - begun < TAKEN_OVER_AFTER_S:
            now = store.find(found.name)
            if now is None:
                return
            if now.version != found.version:
                raise UserError(f"{store.address}: another {shown} is writing there; wait for it or stop it")
            if not is_said:
                say(f"{store.address}: the last {shown} did not end; waiting whether it is alive ...")
                is_said = True
            time.sleep(LOOK_EVERY_S)
    store.delete(found.name)


def _is_running(pid: object) -> bool:
    try:
        os.kill(int(str(pid)), 0)
    except (ValueError, ProcessLookupError, OverflowError):
        return False
    except PermissionError:
        pass
    return True


class _Lease:
    """An object that says who writes, renewed by a thread."""

    def __init__(self, store: Store, name: str, what: str) -> None:
        self._store, self._name = store, name
        self._content = {"what": what, "host": socket.gethostname(), "pid": os.getpid(), "id": secrets.token_hex(8)}
        self._number = 0
        self._found: StoredFile | None = None
        self._stop = threading.Event()

    def take(self) -> None:
        while not self._write(None):
            if found := self._store.find(self._name):
                wait_until_free(self._store, found)

    def _write(self, over: StoredFile | None) -> bool:
        self._number += 1  # so that its version changes
        if not write_object(self._store, self._name, self._content | {"renewed": self._number}, over):
            return False
        self._found = self._store.find(self._name)
        return True

    @contextmanager
    def renewed(self) -> Iterator[None]:
        thread = threading.Thread(target=self._renew, daemon=True)
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            thread.join(1)

    def _renew(self) -> None:
        while not self._stop.wait(RENEW_EVERY_S):
            try:
                if self._write(self._found):
                    continue
            except StoreUnavailable:
                continue  # the build itself says so
            except UserError as error:
                say(f"warning: {error}")
            else:
                say(f"warning: {self._store.address}: another process took over; each shard is still published once")
            return

    def drop(self) -> None:
        """Give it back, if it is still ours."""
        with suppress(UserError):
            now = self._store.find(self._name)
            if now and self._found and now.version == self._found.version:
                self._store.delete(self._name)
