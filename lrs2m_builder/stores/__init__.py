"""Where files are kept: a local folder or an object store, locks and ownership of outputs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lrs2m_builder.stores._base import Store


def open_store(address: str) -> Store:
    """The store at a path or at s3://BUCKET/PREFIX; nothing is read or written yet.

    Raises:
        UserError: another kind of address, or the extra 'scale' is not installed.
    """
    if "://" in address:
        from lrs2m_builder.stores.objects import ObjectStore

        return ObjectStore(address)
    from lrs2m_builder.stores.folder import FolderStore

    return FolderStore(Path(address))
