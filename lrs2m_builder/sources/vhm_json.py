"""VHM's list of long texts (VersaD, `list_pretrain.json`): one JSON list of about a gigabyte, so it is streamed.

    [{"image": "<file name>", "source_dataset": "<folder>",
      "conversations": [{"from": "human", "value": "<image>..."}, {"from": "gpt", "value": "<LONG TEXT>"}]}, ...]

The identity of an image is its folder and its name; the long text is the first turn of `gpt`.
"""

from __future__ import annotations

import glob
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.base import NotColumnarError, SourceColumns, SourceRow
from lrs2m_builder.sources.json_list import read_json_list

if TYPE_CHECKING:
    import pyarrow as pa

ROWS_AT_ONCE = 65_536
_COLUMNS = {
    "image": "VARCHAR",
    "source_dataset": "VARCHAR",
    "conversations": 'STRUCT("from" VARCHAR, "value" VARCHAR)[]',
}
_ENTRIES = """
    image, source_dataset, conversations IS NULL AS broken,
    coalesce(list_filter(conversations, lambda turn: turn."from" = 'gpt')[1]."value", '') AS answer
"""
_NO_TEXT = r"^(?:[\[{]|-?[0-9.]+(?:[eE][-+]?[0-9]+)?$|true$|false$)"  # or so DuckDB writes it as one


def read(path: Path, source_dataset: Sequence[str] = ()) -> Iterator[SourceRow]:
    """Yield one row an entry, in the order of the file.

    Args:
        source_dataset: only the entries of these; letter case and anything but letters and digits are ignored,
            because the spelling of the folders varies between copies of the list. All of them by default.

    Raises:
        UserError: the file is not a JSON list (with the byte), an entry is not of this form (with its number), or
            there is no entry of the wanted data sets (with those that are there).
    """
    wanted = {_plain(name) for name in source_dataset}
    others: set[str] = set()
    found = False
    for number, entry in enumerate(read_json_list(path)):
        row, dataset = _row(path, number, entry)
        if not wanted or _plain(dataset) in wanted:
            found = True
            yield row
        else:
            others.add(dataset)
    if not found:
        of = f" of {' or '.join(source_dataset)}; it has {', '.join(sorted(others)) or 'none'}" if wanted else ""
        raise UserError(f"{path}: no entries{of}")


def read_columns(path: Path, source_dataset: Sequence[str] = ()) -> Iterator[SourceColumns]:
    """What `read` yields, many rows at once.

    Slips outside of what is read are let pass: a comma behind the last value of an object, or a number that is none.

    Raises:
        NotColumnarError: it is no JSON, or an entry is not of this form, or may not be.
    """
    import duckdb
    import pyarrow as pa

    if not _is_closed(path):  # of a list that ends between two entries DuckDB says nothing
        raise NotColumnarError
    wanted = {_plain(name) for name in source_dataset}
    try:
        with duckdb.connect(config={"threads": 1, "autoinstall_known_extensions": False}) as connection:
            entries = connection.read_json(
                glob.escape(str(path)), format="array", columns=_COLUMNS, hive_partitioning=False
            ).project(_ENTRIES)
            for batch in entries.to_arrow_reader(ROWS_AT_ONCE):
                yield _columns(batch, wanted)
    except (duckdb.Error, pa.ArrowException, OSError, UnicodeDecodeError) as error:
        raise NotColumnarError from error


def _is_closed(path: Path) -> bool:
    """Whether the last character that is no white space ends a list."""
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 4096))
        return file.read().rstrip().endswith(b"]")


def _columns(batch: pa.RecordBatch, wanted: set[str]) -> SourceColumns:
    """The wanted entries of a batch, with the first answer of each."""
    import pyarrow as pa
    import pyarrow.compute as pc

    images, datasets, answers = batch["image"], batch["source_dataset"], batch["answer"]
    if images.null_count or datasets.null_count or pc.any(batch["broken"]).as_py():
        raise NotColumnarError
    spellings = pc.unique(datasets)
    if any(pc.any(pc.match_substring_regex(texts, _NO_TEXT)).as_py() for texts in (images, spellings, answers)):
        raise NotColumnarError
    if any(pc.any(pc.equal(pc.binary_length(names), 0)).as_py() for names in (images, spellings)):
        raise NotColumnarError
    names = pc.binary_join_element_wise(datasets, images, "/")
    if not wanted:
        return SourceColumns("caption_long", names, answers)
    named = [dataset for dataset in spellings.to_pylist() if _plain(dataset) in wanted]
    if len(named) == len(spellings):
        return SourceColumns("caption_long", names, answers)
    mask = pc.is_in(datasets, pa.array(named, pa.string()))
    return SourceColumns("caption_long", names.filter(mask), answers.filter(mask))


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


def _plain(name: str) -> str:
    return "".join(char for char in name.casefold() if char.isalnum())
