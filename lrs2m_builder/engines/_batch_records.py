"""What was sent as batches, kept beside the journals: a stopped build finds its batches again and pays for none twice.

    batches/<subset>/000001-<writer>.json    a file per batch, written before the batch is created

A record names the uploaded file first, then the batch: if a process dies between the two, the endpoint's list of
batches is searched for that file.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace

from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Request
from lrs2m_builder.stores._base import Store, read_object, write_object, writer_name

KEY_LENGTH = 32


@dataclass(frozen=True, slots=True)
class BatchRecord:
    """A batch as its record holds it.

    Attributes:
        endpoint: the address that it was sent to.
        file: id of the uploaded requests.
        batch: id of the batch; empty until it is known.
        requests: keys of its requests (see `request_key`).
    """

    endpoint: str
    file: str
    batch: str
    requests: tuple[str, ...]


class BatchRecords:
    """The records of the batches of a build."""

    def __init__(self, store: Store, folder: str) -> None:
        self._store, self._folder = store, folder

    def read(self) -> dict[str, BatchRecord]:
        """All records by name, in the order in which they were written.

        Raises:
            UserError: one cannot be read.
        """
        found = {}
        for name in [each.name for each in self._store.files(self._folder)]:
            content = read_object(self._store, name)
            if content is None:
                continue  # deleted meanwhile by another process
            try:
                record = BatchRecord(**content)
                found[name] = replace(record, requests=tuple(record.requests))
            except TypeError as error:
                raise UserError(
                    f"{self.where(name)}: no record of a batch ({error}); without it, the batch's answers are not found"
                ) from error
        return found

    def add(self, record: BatchRecord) -> str:
        """Write a new record; returns its name."""
        numbers = (each.name.rpartition("/")[2].partition("-")[0] for each in self._store.files(self._folder))
        number = 1 + max((int(text) for text in numbers if text.isdecimal()), default=0)
        name = f"{self._folder}/{number:06d}-{writer_name()}.json"
        write_object(self._store, name, asdict(record), None)
        return name

    def replace(self, name: str, record: BatchRecord) -> None:
        """Write a record in place of an earlier one."""
        write_object(self._store, name, asdict(record), self._store.find(name))

    def drop(self, name: str) -> None:
        """Delete a record: its answers are in the journals, or it has none."""
        self._store.delete(name)

    def where(self, name: str) -> str:
        """A record as messages name it."""
        return f"{self._store.address}/{name}"


def request_key(request: Request) -> str:
    """The `custom_id` of a request: the same in every run of a build, another for any other request."""
    asked: Sequence[object] = (
        request.request_id,
        request.seed,
        request.parts,
        request.system,
        dict(request.sampling),
        request.schema,
    )
    return hashlib.sha256(json.dumps(asked, sort_keys=True, default=str).encode()).hexdigest()[:KEY_LENGTH]
