"""The report: one HTML file with the pairs side by side, without scripts or external files."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lrs2m_builder.dataset.audit.collect import ImageLocation, read_image
from lrs2m_builder.dataset.audit.findings import KINDS, Audit, ImagePair
from lrs2m_builder.dataset.pages import data_uri, write_page
from lrs2m_builder.errors import SampleError
from lrs2m_builder.images.load import decode
from lrs2m_builder.schema import ImageBytes

PAGE = Path(__file__).with_name("report.html.jinja")
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
    write_page(
        path,
        PAGE,
        audit=result,
        sections=sections,
        counts=counts,
        names=result.names[:MAX_NAMES],
        places=result.places[:MAX_NAMES],
    )


def _section(kind: str, result: Audit, total: int, places: Sequence[ImageLocation]) -> _Section:
    shown = [pair for pair in result.pairs if pair.kind == kind][:MAX_PAIRS]
    pictures = [(pair, _shown(places[pair.contents[0]]), _shown(places[pair.contents[1]])) for pair in shown]
    return _Section(kind, _TITLES[kind], total, tuple(pictures))


def _shown(place: ImageLocation) -> str:
    """An image as a small JPEG inside the page; empty if it cannot be shown."""
    try:
        image = decode(place.path if place.row < 0 else ImageBytes(read_image(place)))
    except (SampleError, OSError, ValueError):
        return ""
    return data_uri(image, SHOWN, SHOWN, "jpeg", 82)
