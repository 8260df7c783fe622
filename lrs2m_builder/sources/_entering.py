"""Cleans every row of a source: its texts become storable text, and an unusable row gets a problem.

No reader can let half a surrogate pair, a terminal escape, a number or a list through: whatever it yields, the result
can be shown to a model, stored in Parquet and printed.
"""

from __future__ import annotations

import hashlib
import re

from lrs2m_builder.errors import SampleError
from lrs2m_builder.schema import Anchor, Box
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.text import entering_text

BAD_NAME = "bad_name"
MAX_NAME = 1024  # characters; a file system allows 255 bytes per part
# Bytes that are not UTF-8, as Python reads them from a disk, and characters that break a line or control a terminal.
_NO_NAME = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")


def entered(row: SourceRow, short: tuple[str, ...] | None = None) -> SourceRow:
    """The row with its texts repaired and blank ones dropped; with a problem if its name or a text is unusable.

    Args:
        short: short texts of another file that take the place of the row's own.
    """
    name, problem = _entered_name(row.image_name)
    given = row.captions if short is None else short
    try:
        return SourceRow(  # `replace` takes four times as long
            image_name=name,
            captions=tuple([text for value in given if (text := entering_text(value))]),
            caption_long=entering_text(row.caption_long),
            split=row.split,
            label=entering_text(row.label),
            anchors=entered_anchors(row.anchors) if row.anchors else (),
            anchors_in=row.anchors_in,
            image=row.image,
            problem=problem or row.problem,
            image_file=row.image_file,
            place=row.place,
        )
    except SampleError as error:
        problem = problem or row.problem or (error.reason, f"{name}: {error.detail}")
        return SourceRow(name, split=row.split, image=row.image, image_file=row.image_file, problem=problem)


def _entered_name(name: object) -> tuple[str, tuple[str, str] | None]:
    """The name of an image and its problem; an unusable name is escaped, with a hash that keeps it unique."""
    if isinstance(name, str) and 0 < len(name) <= MAX_NAME and not _NO_NAME.search(name):
        return name, None
    text = name if isinstance(name, str) else repr(name)
    shown = _NO_NAME.sub(lambda match: match[0].encode("unicode_escape").decode(), text[:100])
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:8]
    wrong = (
        "is not a text"
        if not isinstance(name, str)
        else "contains characters that a name cannot contain"
        if _NO_NAME.search(text)
        else f"has {len(text):,} characters; a name has 1 to {MAX_NAME:,}"
    )
    return f"{shown}~{digest}", (BAD_NAME, f"image name '{shown}' {wrong}")


def entered_anchors(anchors: tuple[Anchor, ...]) -> tuple[Anchor, ...]:
    """The anchors with their names repaired; the counts of equal names are added.

    Raises:
        SampleError: a name is not a text.
    """
    counts: dict[str, int | None] = {}
    boxes: dict[str, tuple[Box, ...]] = {}
    all_placed: dict[str, bool] = {}
    for anchor in anchors:
        name = entering_text(anchor.name)
        if not name:
            raise SampleError("not_text", f"class {anchor.name!r} has no printable characters")
        before = counts.get(name, 0)
        counts[name] = None if anchor.count is None or before is None else before + anchor.count
        boxes[name] = boxes.get(name, ()) + anchor.boxes
        all_placed[name] = all_placed.get(name, True) and bool(anchor.boxes)
    return tuple(
        Anchor(name, count, boxes[name] if all_placed[name] and count in {None, len(boxes[name])} else ())
        for name, count in counts.items()
    )
