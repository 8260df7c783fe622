"""The records at both ends of the straight line: a Sample becomes a Record or a Rejection."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from lrs2m_builder.exchange import Attempt

CaptionColumn = Literal["caption_short", "caption_long"]
Viewpoint = Literal["satellite", "aerial", "drone", "overhead"]


Box = tuple[float, float, float, float]
"""Left, top, right and bottom of an object, in pixels of its image."""


@dataclass(frozen=True, slots=True)
class Anchor:
    """An object class that the labels say is in the image, and how many times (None: not counted).

    Attributes:
        boxes: where each of them is; empty if that is not known of all.
    """

    name: str
    count: int | None = None
    boxes: tuple[Box, ...] = field(default=(), repr=False)


@dataclass(frozen=True, slots=True)
class TarMember:
    """An image inside an uncompressed tar: `size` bytes from byte `offset` on."""

    archive: Path
    name: str
    offset: int
    size: int

    def __str__(self) -> str:
        return f"{self.archive}:{self.name}"


@dataclass(frozen=True, slots=True)
class TableCell:
    """An image inside a Parquet or Arrow file: the cell of a column, rows counted from 0."""

    table: Path
    column: str
    row: int

    def __str__(self) -> str:
        return f"{self.table}:{self.column}[{self.row}]"


@dataclass(frozen=True, slots=True)
class ImageBytes:
    """An image whose bytes are in memory, such as those of a row; the name is for messages."""

    data: bytes
    name: str = "the image"

    def __str__(self) -> str:
        return self.name


ImageRef = Path | TarMember | TableCell | ImageBytes
"""Where an image's bytes are (`images/files.py` reads them)."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where on Earth an image was taken, when and by what; None is unknown. The names are STAC's.

    Attributes:
        lon, lat: the centre, in degrees of WGS 84.
        bbox: west, south, east and north of the footprint; west is greater than east across the antimeridian.
        geometry: the footprint as WKB in longitude and latitude: a polygon, or a point if only the centre is known.
        crs: the coordinate reference system of the image's own pixels, such as "EPSG:32633", or WKT2.
        gsd: metres on the ground per pixel of the image's file.
        datetime: of the acquisition, in UTC.
        platform: the satellite or aircraft, such as "sentinel-2a".
        split: which part of its data set the image belongs to, such as "train".
        grid_cell: the Major-TOM cell of 10 km that holds the centre.
    """

    lon: float | None = None
    lat: float | None = None
    bbox: tuple[float, float, float, float] | None = None
    geometry: bytes | None = field(default=None, repr=False)
    crs: str | None = None
    gsd: float | None = None
    datetime: dt.datetime | None = None
    platform: str | None = None
    split: str | None = None
    grid_cell: str | None = None


NOWHERE = Place()


@dataclass(frozen=True, slots=True)
class Sample:
    """One row to be built: an image and its texts and labels before any model is asked.

    Attributes:
        sample_id: "<subset>/<key>", unique in the subset.
        image_name: the image as the source names it; the `path` stored with its bytes.
        image_path: the file it was resolved to, or its location inside one; None if it was not found.
        captions: the published short texts, normalised; the first is the row's own.
        caption_long: the published long text, normalised; empty without one.
        no_anchors: reason and detail of missing anchors, for recipes that need them.
        problem: reason and detail if the source already found the sample unusable.
        image_size: width and height in pixels, to which the boxes of the anchors refer; None without boxes.
    """

    sample_id: str
    subset: str
    image_name: str
    image_path: ImageRef | None
    captions: tuple[str, ...] = ()
    caption_long: str = ""
    anchors: tuple[Anchor, ...] = ()
    label: str = ""
    no_anchors: tuple[str, str] | None = None
    problem: tuple[str, str] | None = None
    place: Place = NOWHERE
    image_size: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class RowClaim:
    """A statement of a finished text.

    Attributes:
        column: the text it is read from.
        start, end: the characters of that text it is read from.
        p: the judge's probability that it is true of the image; None if it was not answered.
    """

    column: CaptionColumn
    kind: str
    words: str
    start: int
    end: int
    p: float | None


@dataclass(frozen=True, slots=True)
class FalseClaim:
    """A statement for which something was cut; `p` is the judge's probability that it is true of the image."""

    kind: str
    words: str
    p: float


@dataclass(frozen=True, slots=True)
class UncutText:
    """A text as it was before words were cut from it, and the statements for which they were."""

    column: CaptionColumn
    text: str
    false_claims: tuple[FalseClaim, ...]


@dataclass(frozen=True, slots=True)
class TextOrigin:
    """How one of several long texts of an image was made.

    Attributes:
        attempts: number of attempts of all its steps.
        num_tokens: CLIP tokens, including the two special ones.
    """

    prompt: str
    seed: int
    attempts: int
    finish_reason: str
    num_tokens: int


@dataclass(frozen=True, slots=True)
class Record:
    """A finished row without the image columns, which are read when the shard is written.

    Attributes:
        judge: the model that was asked whether the texts are true of the image; None if none was.
        claims: the judged statements of the texts written here; None without a judge.
        cut: what was removed because the judge called a claim of it false; None without a judge.
        uncut: the texts from which they were removed, as they were before; None without a judge.
        captions_long: all long texts, the first of which is `caption_long`; None in a build of one text per image.
        captions_long_origin: how each of them was made.
        history: every answer the sample got; no column, but kept should the image be gone when the shard is written.
    """

    sample_id: str
    subset: str
    image_name: str
    image_path: ImageRef | None
    caption_short: str
    caption_long: str
    short_source: str
    long_source: str
    num_tokens_short: int
    num_tokens_long: int
    anchors: tuple[Anchor, ...]
    label: str
    license: str
    recipe: str
    prompts: tuple[tuple[str, str], ...]
    model: str
    model_revision: str
    engine: str
    seed: int
    attempts: int
    finish_reason: str
    warnings: tuple[str, ...]
    judge: str | None = None
    claims: tuple[RowClaim, ...] | None = None
    cut: tuple[str, ...] | None = None
    uncut: tuple[UncutText, ...] | None = None
    place: Place = NOWHERE
    captions_long: tuple[str, ...] | None = None
    captions_long_origin: tuple[TextOrigin, ...] | None = None
    history: tuple[Attempt, ...] = ()


@dataclass(frozen=True, slots=True)
class Rejection:
    """A sample without a row: the reason, and every answer it got.

    Attributes:
        problems: for each attempt, the check that refused it and why, as in "refusal: ..."; "" if it was accepted.
    """

    sample_id: str
    reason: str
    detail: str = ""
    attempts: tuple[Attempt, ...] = ()
    problems: tuple[str, ...] = ()
