"""DOTA's `.txt`: eight corner coordinates, a class and whether it is difficult, a line an object.

imagesource:GoogleEarth
gsd:0.146343590398
2753 2408 2861 2385 2888 2468 2805 2502 plane 0
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.vector_labels.classes import Found
from lrs2m_builder.sources.vector_labels.files import load_text

_HEADER = ("imagesource:", "gsd:")


def find(path: Path, skip_difficult: bool) -> Iterator[Found]:
    """Yield the class of each object; the tenth field says 1 where it is hard to see, early releases have none."""
    for number, line in enumerate(load_text(path).splitlines(), start=1):
        fields = line.split()
        if not fields or line.startswith(_HEADER):
            continue
        if len(fields) < 9:
            raise UserError(f"{path}: line {number}: not eight corner coordinates and a class")
        if not (skip_difficult and fields[9:10] not in ([], ["0"])):
            yield fields[8], 1
