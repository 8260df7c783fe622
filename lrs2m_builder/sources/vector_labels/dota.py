"""DOTA's `.txt`: eight corner coordinates, a class and whether it is difficult, one line per object.

imagesource:GoogleEarth
gsd:0.146343590398
2753 2408 2861 2385 2888 2468 2805 2502 plane 0
"""

from __future__ import annotations

from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.vector_labels.files import load_text
from lrs2m_builder.sources.vector_labels.shapes import ImageLabels, LabelledObject, number, pairs

_HEADER = ("imagesource:", "gsd:", "acquisition dates:")
_DIFFICULT = {"0": False, "1": True, "2": True}
_FORM = "DOTA has eight corner coordinates, the class, then 0, 1 or 2 for difficult"


def find(path: Path, skip_difficult: bool) -> ImageLabels:
    """The objects of a file; the words after the corners are the class; early releases end there.

    Raises:
        UserError: a line is not of this form (the message gives the line and the form it resembles).
    """
    things = []
    for row, line in enumerate(load_text(path).splitlines(), start=1):
        if not line.strip() or line.strip().lower().startswith(_HEADER):
            continue
        try:
            name, is_difficult, corners = _read(line.split())
        except ValueError as error:
            raise UserError(f"{path}: line {row}: {error}: {line.strip()[:80]!r}") from error
        if not (skip_difficult and is_difficult):
            things.append(LabelledObject(name, parts=(pairs(corners),)))
    return ImageLabels(path, tuple(things))


def _read(fields: list[str]) -> tuple[str, bool, list[float]]:
    """The class of a line, whether it is difficult, and its corners."""
    numbers = [_number(field) for field in fields]
    if len(fields) >= 5 and _is_yolo(numbers):
        raise ValueError(f"a YOLO line, whose class is a number and comes first; {_FORM}")
    corners = [value for value in numbers[:8] if value is not None]
    if len(fields) < 9 or len(corners) < 8:
        raise ValueError(f"not eight corner coordinates and a class; {_FORM}")
    words = fields[8:]
    is_difficult = len(words) > 1 and _DIFFICULT.get(words[-1])
    if len(words) > 1 and words[-1] in _DIFFICULT:
        words.pop()
    tail = [word for word in words[1:] if _number(word) is not None]
    # One number may be part of the class, as in "Boeing 737"; a score or an id after the difficulty is not.
    if len(tail) > 1 or any("." in word or word in _DIFFICULT for word in tail):
        raise ValueError(f"{' '.join(words)!r} is not a class: is a score or an id after it? {_FORM}")
    return " ".join(words), bool(is_difficult), corners


def _number(field: str) -> float | None:
    try:
        return number(field)
    except ValueError:
        return None


def _is_yolo(numbers: list[float | None]) -> bool:
    """Whether the line is YOLO's: a class number, then shares of the image's sides: a box, corners or an outline."""
    first, *others = numbers
    shares = [value for value in others if value is not None and 0 <= value <= 1]
    return first is not None and first == int(first) and len(shares) == len(others) and any(v % 1 for v in shares)
