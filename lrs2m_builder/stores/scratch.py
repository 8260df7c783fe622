"""The scratch folders of the replicas of a machine, for files on their way to an object store.

A replica's folder is its own, and locked while it lives. What waits in the folder of a dead one is published by
whoever finds it unlocked.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.files import disk_errors
from lrs2m_builder.stores._base import Store, writer_name
from lrs2m_builder.stores.lock import is_locked, locked_file
from lrs2m_builder.stores.objects import ObjectStore


@contextmanager
def own_scratch(store: Store) -> Iterator[Store]:
    """The store with a scratch folder that no other process uses; a store that is a folder needs none.

    Files that are left in it at the end wait for `abandoned`.

    Raises:
        UserError: the folder cannot be made.
    """
    if not isinstance(store, ObjectStore):
        yield store
        return
    own = store.with_replica(writer_name())
    with disk_errors(own.scratch):
        own.replicas.mkdir(mode=0o700, parents=True, exist_ok=True)
    with locked_file(_lock_of(own.scratch), "replica", shown=own.scratch, remove=True, needs_locks=False):
        with disk_errors(own.scratch):
            own.scratch.mkdir()
        try:
            yield own
        finally:
            if not any(path.is_file() for path in own.scratch.rglob("*")):
                shutil.rmtree(own.scratch, ignore_errors=True)


def abandoned(store: Store) -> Iterator[Store]:
    """The store with the scratch folder of each replica that died on this machine, one after the other.

    A folder is deleted when the next one is asked for. One that another process holds is left out.
    """
    if not isinstance(store, ObjectStore):
        return
    for folder in sorted(path for path in store.replicas.glob("*") if path.is_dir()):
        lock = _lock_of(folder)
        if is_locked(lock):
            continue
        with ExitStack() as stack:
            try:
                stack.enter_context(locked_file(lock, "replica", shown=folder, remove=True))
            except UserError:  # the system knows no locks: nobody can tell whether its replica is alive
                continue
            yield store.with_replica(folder.name)
            with disk_errors(folder):
                shutil.rmtree(folder)


def _lock_of(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.lock")
