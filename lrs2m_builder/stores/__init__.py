"""Where files are kept: a local folder or an object store, locks and ownership of outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrs2m_builder.stores._base import ReadableStore, Store


def open_store(address: str, *, scratch: Path | None = None, patience_s: float = 900.0) -> Store:
    """The store at a path or at s3://BUCKET/PREFIX; nothing is read or written yet.

    Args:
        scratch: folder for files on their way to an object store.
        patience_s: how long an object store may not answer.

    Raises:
        UserError: another kind of address, or the extra 'scale' is not installed.
    """
    if "://" in address:
        from lrs2m_builder.stores.objects import ObjectStore

        return ObjectStore(address, scratch=scratch, patience_s=patience_s)
    from lrs2m_builder.stores.folder import FolderStore

    return FolderStore(Path(address))


def open_readable(address: str) -> ReadableStore:
    """The store at s3://BUCKET/PREFIX, or the data set at hf://datasets/OWNER/NAME[@REVISION], to read from it.

    Raises:
        UserError: another kind of address, or the extra 'scale' is not installed.
    """
    if address.startswith("hf://"):
        from lrs2m_builder.stores.hub_files import HubFiles

        return HubFiles(address)
    return open_store(address)
