"""Reads a JSON list of a gigabyte one entry at a time."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import ijson

from lrs2m_builder.errors import UserError


def read_json_list(path: Path) -> Iterator[Any]:
    """Yield the entries of a JSON list; a byte order mark is accepted; any other JSON value yields nothing.

    Raises:
        UserError: it is not JSON; the message gives the nearest byte.
    """
    with path.open("rb") as file:
        if file.read(3) != b"\xef\xbb\xbf":
            file.seek(0)
        try:
            yield from ijson.items(file, "item", use_float=True)
        except ijson.JSONError as error:
            raise UserError(f"{path}: near byte {file.tell()}: not JSON: {' '.join(str(error).split())}") from error
