"""Lists of short and long texts in the form of MGRS-200k (`text_info.json`).

    [{"global_filepath": "<image>", "detailed_caption": "<LONG TEXT>", "brief_caption": "<SHORT TEXT>", ...}, ...]

In parts of it the short text is called `global_caption`. Texts of segments and all other keys are not read.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import NOWHERE
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources._json_list import read_json_list
from lrs2m_builder.sources._place_values import quiet_place

_SHORT = ("brief_caption", "global_caption")


def read(path: Path) -> Iterator[SourceRow]:
    """Yield one row per entry, in file order.

    Raises:
        UserError: the file is not a JSON list (with the byte), has no entries, or an entry names no image (with its
            number).
    """
    number = -1
    for number, entry in enumerate(read_json_list(path)):
        image = entry.get("global_filepath") if isinstance(entry, dict) else None
        if not isinstance(image, str) or not image:
            raise UserError(f'{path}: entry {number}: no "global_filepath"; is this a list in the form of MGRS-200k?')
        texts = {key: entry.get(key) or "" for key in (*_SHORT, "detailed_caption")}
        if wrong := next((key for key, text in texts.items() if not isinstance(text, str)), None):
            raise UserError(f"{path}: entry {number} ({image}): {wrong!r} is {str(texts[wrong])[:60]}, not a text")
        short = next((texts[key] for key in _SHORT if texts[key]), "")
        yield SourceRow(
            image.removeprefix("./"),
            captions=(short,) if short else (),
            caption_long=texts["detailed_caption"],
            place=quiet_place(place) if isinstance(place := entry.get("place"), dict) else NOWHERE,
        )
    if number < 0:
        raise UserError(f"{path}: no entries")
