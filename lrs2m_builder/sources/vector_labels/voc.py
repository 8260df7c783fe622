"""Pascal VOC's `.xml`: an element `object` an object, with `name` and perhaps `difficult`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.vector_labels.classes import Found


def find(path: Path, skip_difficult: bool) -> Iterator[Found]:
    """Yield the class of each object."""
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise UserError(f"{path}: line {error.position[0]}: not XML: {error}") from error
    except (ValueError, LookupError) as error:  # the declared encoding; expat knows few
        raise UserError(f"{path}: {error}; save it as UTF-8 and declare that") from error
    for item in root.iter("object"):
        name = (item.findtext("name") or "").strip()
        difficult = (item.findtext("difficult") or "0").strip() != "0"
        if name and not (skip_difficult and difficult):
            yield name, 1
