"""The report: one HTML file with the pairs side by side, without scripts or external files."""

from __future__ import annotations

import base64
import io
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined

from lrs2m_builder.dataset.audit.collect import ImageLocation, read_image
from lrs2m_builder.dataset.audit.findings import KINDS, Audit, ImagePair
from lrs2m_builder.errors import SampleError
from lrs2m_builder.files import finished_file
from lrs2m_builder.images.load import decode
from lrs2m_builder.schema import ImageBytes

MAX_PAIRS = 60  # per kind; those that differ most come first, because they need checking
MAX_NAMES = 100
SHOWN = 176  # pixels
_TITLES = {
    "leak": "Evaluation images in the data set",
    "near_leak": "Near copies of evaluation images",
    "duplicate": "Duplicate images",
    "near_duplicate": "Near-duplicate images",
}


@dataclass(frozen=True, slots=True)
class _Section:
    kind: str
    title: str
    total: int
    pairs: tuple[tuple[ImagePair, str, str], ...]


def write_report(path: Path, result: Audit, places: Sequence[ImageLocation]) -> None:
    """Write the findings as an HTML page.

    Args:
        places: locations of the images, by the numbers in the pairs.
    """
    counts = Counter(pair.kind for pair in result.pairs)
    sections = [_section(kind, result, counts[kind], places) for kind in KINDS if counts[kind]]
    environment = Environment(
        loader=PackageLoader("lrs2m_builder", "dataset/audit"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
    )
    page = environment.get_template("report.html.jinja").render(
        audit=result, sections=sections, counts=counts, names=result.names[:MAX_NAMES], places=result.places[:MAX_NAMES]
    )
    with finished_file(path) as part:
        part.write_text(page, encoding="utf-8")


def _section(kind: str, result: Audit, total: int, places: Sequence[ImageLocation]) -> _Section:
    shown = [pair for pair in result.pairs if pair.kind == kind][:MAX_PAIRS]
    pictures = [(pair, _data_uri(places[pair.contents[0]]), _data_uri(places[pair.contents[1]])) for pair in shown]
    return _Section(kind, _TITLES[kind], total, tuple(pictures))


def _data_uri(place: ImageLocation) -> str:
    """An image as a small JPEG inside the page; empty if it cannot be shown."""
    try:
        image = decode(place.path if place.row < 0 else ImageBytes(read_image(place)))
    except (SampleError, OSError, ValueError):
        return ""
    image.thumbnail((SHOWN, SHOWN))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=82)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
