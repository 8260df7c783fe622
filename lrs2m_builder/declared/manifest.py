"""Manifests: the facts of a subset, in YAML (its files, its licence, the paper's models and figures)."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from lrs2m_builder.declared.shipped import find
from lrs2m_builder.declared.yaml_mapping import invalid, parse_mapping
from lrs2m_builder.errors import UserError
from lrs2m_builder.images.part import Part
from lrs2m_builder.schema import Place, Viewpoint

_VIEWS: dict[Viewpoint, str] = {
    "satellite": "satellite image",
    "aerial": "aerial image",
    "drone": "image taken from a drone",
    "overhead": "overhead image",
}
Band = Annotated[int, Field(ge=1)]
BandName = Annotated[str, Field(pattern=r"^\w+$")]
# A glob below the data folder: relative, "**" only as a whole folder.
Pattern = Annotated[str, Field(pattern=r"^(?!/)(?!.*\*\*(?!/|$))(?!.*[^/]\*\*).+$")]
ShortText = Annotated[str, Field(min_length=1, max_length=200)]
PlaceColumn = Literal[
    "image", "lon", "lat", "bbox", "geometry", "crs", "gsd", "datetime", "platform", "split", "grid_cell"
]
SafeName = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, regex_engine="python-re")


class Files(_Model):
    """Which files of the data folder hold the texts, and where the images are.

    Attributes:
        annotations: globs below the data folder; the first that matches is used.
        images: layouts (see `sources/_resolve.py`); the one that finds the most images is used for all. Empty if the
            annotation files hold the images themselves.
    """

    annotations: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    images: Annotated[tuple[Pattern, ...], Field(min_length=1)] = ()

    @field_validator("images")
    @classmethod
    def _known_fields(cls, layouts: tuple[str, ...]) -> tuple[str, ...]:
        for layout in layouts:
            try:
                layout.format(filename="1.tif", basename="1.tif", stem="1", class_name="a", index=1)
            except (KeyError, IndexError) as error:
                fields = "filename, basename, stem, class_name, index"
                raise ValueError(f"layout {layout!r}: no field {error}; known: {fields}") from error
            except ValueError as error:
                raise ValueError(f"layout {layout!r}: {error}") from error
        return layouts


class Numbering(_Model):
    """An archive that numbers its images across classes: N is image (N-1) % per_class of a class."""

    per_class: Annotated[int, Field(ge=1)]
    classes: Annotated[tuple[str, ...], Field(min_length=1)]


class Panel(_Model):
    """Which of several square images side by side in one file is the sample's image.

    Attributes:
        number: counted from the left, starting at 1.
        of: number of squares in a file's width; a file of another shape holds only the image.
    """

    number: Band
    of: Annotated[int, Field(ge=2)]

    @model_validator(mode="after")
    def _inside(self) -> Panel:
        if self.number > self.of:
            raise ValueError(f"number {self.number} of {self.of}")
        return self


class Join(_Model):
    """A second annotation file that gives the short texts of the same images, joined by the stem of their names.

    Attributes:
        texts_from: what its texts are called in `short_source`.
    """

    format: SafeName
    annotations: Annotated[tuple[Pattern, ...], Field(min_length=1)]
    options: dict[str, Any] = {}
    texts_from: str


class PlaceSource(_Model):
    """What is known of the images' places on Earth beside what their own files, names and rows say.

    Attributes:
        table: globs below the data folder; all files that match the first that matches are read: CSV, JSON, JSON lines,
            GeoJSON, STAC items, Parquet or GeoParquet, with an entry per image.
        beside: whether each image has a JSON file of its stem beside it, as in fMoW, or a STAC item.
        columns: the table's names of the columns of a place, and of `image`, which names the image; null for a column
            that is not to be read. Common names need not be given (docs/place.md).
        gsd, platform, crs, datetime, split: of all images for which nothing else says it.
        tags, names: whether the tags of GeoTIFFs, and time and platform in agencies' names of scenes, are read.
    """

    table: tuple[Pattern, ...] = ()
    beside: bool = False
    columns: dict[PlaceColumn, str | None] = {}
    gsd: Annotated[float, Field(gt=0, le=100_000)] | None = None
    platform: ShortText | None = None
    crs: ShortText | None = None
    datetime: dt.datetime | None = None
    split: ShortText | None = None
    tags: bool = True
    names: bool = True

    @field_validator("table", mode="before")
    @classmethod
    def _one_or_more(cls, value: Any) -> Any:
        return (value,) if isinstance(value, str) else value

    @property
    def constants(self) -> Place:
        """What is true of all images."""
        time = self.datetime and (self.datetime if self.datetime.tzinfo else self.datetime.replace(tzinfo=dt.UTC))
        return Place(gsd=self.gsd, platform=self.platform, crs=self.crs, datetime=time, split=self.split)


class PaperFigures(_Model):
    """The subset's figures in Table I of the paper."""

    pairs: int
    mean_tokens_long: float
    mean_tokens_short: float
    long_from: str
    short_from: str


class Models(_Model):
    """Hub names of the models that the paper used for the subset."""

    mllm: str | None = None
    llm: str | None = None


class Manifest(_Model):
    """One subset. Every key of the YAML file is one of these; an unknown key is refused.

    Attributes:
        options: keyword arguments of the format's `read`, beside the annotation file.
        rows: one sample per distinct caption of an image, or one per image with all its captions.
        split: only rows of that split.
        hint_label: whether a prompt may state the label, because it is surer than the short text.
        bands: red, green and blue: the band numbers of multi-band files, counted from 1, or for folders with one file
            per band the ends of the file names, such as B04.
        panel: which one to use if files hold several images side by side.
        place: what is known of the images' places on Earth.
        texts_from: the name of the published texts in `short_source` and `long_source`.
        redistribute: what `lrs2m publish` uploads by default; images only if their licence allows it.
    """

    name: SafeName
    title: str
    format: SafeName
    files: Files
    numbering: Numbering | None = None
    join: Join | None = None
    options: dict[str, Any] = {}
    rows: Literal["caption", "image"] = "image"
    split: str | None = None
    hint_label: bool = False
    viewpoint: Viewpoint = "overhead"
    bands: tuple[Band, Band, Band] | tuple[BandName, BandName, BandName] | None = None
    panel: Panel | None = None
    place: PlaceSource = PlaceSource()
    license: str
    redistribute: Literal["images", "captions", "nothing"] = "captions"
    homepage: str
    citation: str
    get: str
    texts_from: str
    models: Models = Models()
    paper: PaperFigures | None = None
    sha256: str = ""

    @property
    def view(self) -> str:
        """How a prompt refers to an image of the subset."""
        return _VIEWS[self.viewpoint]

    @property
    def origin(self) -> dict[str, str]:
        """The source information stored with a published data set, including what may be redistributed."""
        return self.model_dump(include={"title", "license", "redistribute", "homepage", "citation"})

    @property
    def part(self) -> Part:
        """Which pixels of its files are the images."""
        return Part(self.bands, (self.panel.number, self.panel.of) if self.panel else None)

    @model_validator(mode="after")
    def _numbered(self) -> Manifest:
        """`{index}` and `{class_name}` have a meaning only in a numbered archive."""
        needy = [layout for layout in self.files.images if "{index" in layout or "{class_name" in layout]
        if needy and self.numbering is None:
            raise ValueError(f"layout {needy[0]!r} needs the key numbering")
        return self


def load_manifest(name: str) -> Manifest:
    """Load a shipped manifest by name or the user's own by path.

    Raises:
        UserError: no such manifest, not YAML, an unknown or missing key, or a value of the wrong kind.
    """
    path = find("manifests", name)
    data = path.read_bytes()
    raw = parse_mapping(data, path, "a manifest")
    try:
        return Manifest(**raw, sha256=hashlib.sha256(data).hexdigest())
    except ValidationError as error:
        raise invalid(str(path), error, Manifest.model_fields.keys() - {"sha256"}) from error
    except TypeError as error:
        raise UserError(f"{path}: keys must be words, each once: {error}") from error
