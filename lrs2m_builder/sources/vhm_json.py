"""VHM's list of long texts (VersaD, `list_pretrain.json`): one JSON list of about a gigabyte, so it is streamed.

    [{"image": "<file name>", "source_dataset": "<folder>",
      "conversations": [{"from": "human", "value": "<image>..."}, {"from": "gpt", "value": "<LONG TEXT>"}]}, ...]

An image is identified by its folder and name; the long text is the first turn of `gpt`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources._json_list import read_json_list


def read(path: Path, source_dataset: Sequence[str] = ()) -> Iterator[SourceRow]:
    """Yield one row per entry, in file order.

    Args:
        source_dataset: keep only the entries of these; letter case and anything but letters and digits are ignored,
            because the spelling of the folders varies between copies of the list. By default all.

    Raises:
        UserError: the file is not a JSON list (with the byte), an entry is not of this form (with its number), or
            no entry is of the requested data sets (the message lists those in the file).
    """
    datasets = {_plain(name) for name in source_dataset}
    others: set[str] = set()
    any_match = False
    for number, entry in enumerate(read_json_list(path)):
        row, dataset = _row(path, number, entry)
        if not datasets or _plain(dataset) in datasets:
            any_match = True
            yield row
        else:
            others.add(dataset)
    if not any_match:
        detail = f" of {' or '.join(source_dataset)}; it has {', '.join(sorted(others)) or 'none'}" if datasets else ""
        raise UserError(f"{path}: no entries{detail}")


def _row(path: Path, number: int, entry: Any) -> tuple[SourceRow, str]:
    image = entry.get("image") if isinstance(entry, dict) else None
    dataset = entry.get("source_dataset", "") if isinstance(entry, dict) else None
    if not isinstance(image, str) or not image or not isinstance(dataset, str):
        raise UserError(f'{path}: entry {number}: no "image" and "source_dataset"; is this VHM\'s list?')
    turns = entry.get("conversations")
    if not isinstance(turns, list):
        raise UserError(f'{path}: entry {number} ({image}): no list "conversations"')
    answers = (turn.get("value") for turn in turns if isinstance(turn, dict) and turn.get("from") == "gpt")
    text = next(answers, None) or ""
    if not isinstance(text, str):
        raise UserError(f"{path}: entry {number} ({image}): the value of gpt's turn is {str(text)[:60]}, not a text")
    return SourceRow(f"{dataset}/{image}" if dataset else image, caption_long=text), dataset


@lru_cache(1024)  # each entry names one of a few data sets
def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())
