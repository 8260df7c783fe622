"""The findings of an audit, as records."""

from __future__ import annotations

from dataclasses import dataclass

from lrs2m_builder.dataset.audit.captions import CaptionRepeats
from lrs2m_builder.dataset.audit.consistency import Finding
from lrs2m_builder.dataset.audit.judges import JudgeComparison

# Kinds of pairs, the gravest first, and their wording in the removals.
KINDS = {
    "leak": "same bytes as evaluation image",
    "near_leak": "nearly the evaluation image",
    "duplicate": "same bytes as",
    "near_duplicate": "nearly the same as",
}


@dataclass(frozen=True, slots=True)
class ImagePair:
    """An image, and the earlier one that it repeats or the evaluation image that it leaks.

    Attributes:
        kind: duplicate (the same bytes), near_duplicate, leak (the same bytes), near_leak.
        image, of: keys of the two: the sample id without the caption's number, or an evaluation image's path.
        residual: grey levels by which the two differ at 32 x 32; 0 for the same bytes.
        contents: numbers of the two in the collection.
    """

    kind: str
    image: str
    subset: str
    of: str
    of_subset: str
    residual: float
    contents: tuple[int, int]


@dataclass(frozen=True, slots=True)
class NameMatch:
    """An image that shares its file name, without extension, with an evaluation image: a hint, not a proof."""

    image: str
    subset: str
    name: str
    of: str


@dataclass(frozen=True, slots=True)
class PlaceMatch:
    """An image that shows ground which an evaluation image shows too.

    Attributes:
        share: of the smaller footprint that is in both.
        days_apart: between the acquisitions; None if one is unknown.
    """

    image: str
    subset: str
    of: str
    share: float
    days_apart: float | None

    @property
    def words(self) -> str:
        """What is shared with what, for the removals."""
        apart = "" if self.days_apart is None else f", taken {self.days_apart:.0f} days apart"
        return f"{self.share:.0%} of the footprint is in evaluation image {self.of}{apart}"


@dataclass(frozen=True, slots=True)
class Audit:
    """A data set's findings.

    Attributes:
        images, distinct_images: number of images (rows of one image count once), and of images with different bytes.
        evaluation_names: number of file names of evaluation images, including those without a file.
        flat_images: number of images without structure, compared only by their bytes.
        removals: sample key -> (reason, detail).
        judges: two judges compared, if asked for.
    """

    path: str
    against: tuple[str, ...]
    records: int
    images: int
    distinct_images: int
    evaluation_images: int
    evaluation_names: int
    flat_images: int
    without_image: int
    unreadable: dict[str, int]
    pairs: tuple[ImagePair, ...]
    names: tuple[NameMatch, ...]
    places: tuple[PlaceMatch, ...]
    captions: tuple[CaptionRepeats, ...]
    findings: tuple[Finding, ...]
    removals: dict[str, tuple[str, str]]
    judges: JudgeComparison | None = None
