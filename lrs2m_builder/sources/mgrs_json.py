"""Lists of short and long texts in the form of MGRS-200k (`text_info.json`).

    [{"global_filepath": "<image>", "detailed_caption": "<LONG TEXT>", "brief_caption": "<SHORT TEXT>", ...}, ...]

In parts of it the short text is called `global_caption`. Texts of segments and all other keys are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.base import SourceRow
from lrs2m_builder.sources.json_list import read_json_list

_SHORT = ("brief_caption", "global_caption")


def read(path: Path) -> Iterator[SourceRow]:
    """Yield one row an entry, in the order of the file.

    Raises:
        UserError: the file is not a JSON list (with the byte), has no entries, or an entry names no image (with its
            number).
    """
    number = -1
    for number, entry in enumerate(read_json_list(path)):
        image = entry.get("global_filepath") if isinstance(entry, dict) else None
        if not isinstance(image, str) or not image:
            raise UserError(f'{path}: entry {number}: no "global_filepath"; is this a list in the form of MGRS-200k?')
        short = next((text for key in _SHORT if (text := _text(entry, key))), "")
        yield SourceRow(
            image.removeprefix("./"), captions=(short,) if short else (), caption_long=_text(entry, "detailed_caption")
        )
    if number < 0:
        raise UserError(f"{path}: no entries")


def _text(entry: dict[str, Any], key: str) -> str:
    text = entry.get(key)
    return text if isinstance(text, str) else ""
