"""RS5M's short texts (its rs3 part: fMoW, BigEarthNet, MillionAID), from the CSV `name,caption` or from its tars.

The tars (rs3-train-0000.tar etc.) also hold the images, three members per sample: `KEY.img_name`, `KEY.img_content`
(the bytes of the file) and `KEY.caption`.

A caption of fMoW or BigEarthNet is a metadata sentence from a template, then a sentence that BLIP-2 wrote. The first
states season, UTM zone, time and viewing angles, which no image shows: on 8,000 real rows it makes fMoW's captions 130
CLIP tokens long (median), of which the visual sentence is 12. So it is removed by default; the paper kept it
(its BigEarthNet short texts average 65.77 tokens).
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.images.files import read_image
from lrs2m_builder.schema import Anchor, TarMember
from lrs2m_builder.sources._base import SourceRow
from lrs2m_builder.sources._land_cover import split_classes
from lrs2m_builder.sources._tars import read_groups
from lrs2m_builder.text import plain_words

# Words that occur only in metadata sentences. The visual sentence follows the sentence with the last of them.
_METADATA = re.compile(
    r"\butm zone\b|o'clock|\boff-nadir\b|\bazimuth\b|\bground sample distance\b|\btimestamp", re.IGNORECASE
)
_CUES = ("utm zone", "o'clock", "off-nadir", "azimuth", "ground sample distance", "timestamp")  # those words
_SENTENCE_END = re.compile(r"[.!?]\s+")
_PLACEHOLDER = re.compile(r"\{\w+\}")
MAX_TEXT_BYTES = 2**20
_FMOW_CLASS = re.compile(r"fmow_(.+?)_\d+_\d+_")
_BEN_CLASSES = re.compile(r"(?<!\w)'(.+?)'(?!\w)")  # the land-cover list in quotes, not a genitive


@dataclass(frozen=True, slots=True)
class _Entry:
    """A sample of RS5M; the CSV holds no images."""

    name: str
    caption: str
    image: TarMember | None = None
    problem: tuple[str, str] | None = None


def read(
    path: Path, prefix: str = "", metadata: Literal["strip", "keep"] = "strip", templates: str = ""
) -> Iterator[SourceRow]:
    """Yield one row per sample, in file order.

    Args:
        prefix: keep only names with this prefix, such as "millionaid_"; it is not part of the image's name.
        metadata: whether to strip or keep the metadata sentences.
        templates: path of RS5M's geometa_template.json; without it, metadata sentences are recognised by their words.

    Raises:
        UserError: not a CSV with the columns name and caption (the line is given), no name with the prefix, or not
            a tar.
    """
    strip = _strip_function(path, metadata, templates)
    any_match = False
    for entry in _read_tar(path) if path.suffix == ".tar" else (_Entry(*line) for line in _read_csv(path)):
        if not entry.name.startswith(prefix) and entry.problem is None:
            continue
        any_match = True
        classes = _land_cover(entry)
        yield SourceRow(
            entry.name.removeprefix(prefix),
            captions=(strip(entry.caption),),
            label=_fmow_class(entry) or "; ".join(classes),
            anchors=tuple(Anchor(name) for name in classes),
            image=entry.image,
            problem=entry.problem,
        )
    if not any_match and path.suffix != ".tar":  # one tar may have no name with the prefix
        raise UserError(f"{path}: no name begins with {prefix!r}")


def _read_csv(path: Path) -> Iterator[tuple[str, str]]:
    """Name and caption of each line that is not blank."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.reader(file)
        try:
            columns = next(lines, [])
            if not {"name", "caption"} <= set(columns):
                raise UserError(f"{path}: line 1: no columns name and caption; is this RS5M's list?")
            name, caption = columns.index("name"), columns.index("caption")
            needed = max(name, caption)
            for line in lines:
                if len(line) > needed:
                    yield line[name], line[caption]
                elif line:
                    raise UserError(f"{path}: line {lines.line_num}: no name or no caption")
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path}: after line {lines.line_num}: not readable as CSV: {error}") from error


def _read_tar(path: Path) -> Iterator[_Entry]:
    """The samples of a tar. A sample without a name could be of any subset: each subset reports it."""
    for key, members in read_groups(path):
        name, image = _text(members.get("img_name")), members.get("img_content")
        if name:
            yield _Entry(name, _text(members.get("caption")), image)
        else:
            have = ", ".join(sorted(members))
            other = (
                "; for such tars write format: webdataset" if {"jpg", "jpeg", "png", "webp"} & members.keys() else ""
            )
            yield _Entry(key, "", problem=("image_missing", f"{path}:{key}: no img_name, only {have}{other}"))


def _text(member: TarMember | None) -> str:
    """A text in the archive; "" if it is missing or truncated. Bytes that are not UTF-8 become U+FFFD."""
    if member is None:
        return ""
    try:
        member = replace(member, size=min(member.size, MAX_TEXT_BYTES))  # a longer text is refused anyway
        return read_image(member).decode("utf-8", "replace").strip()
    except SampleError:
        return ""


def _fmow_class(entry: _Entry) -> str:
    """The class in a file name of fMoW, such as "fmow_oil_or_gas_facility_3_1_rgb.jpg"."""
    match = _FMOW_CLASS.match(entry.name)
    return plain_words(match.group(1)) if match else ""


def _land_cover(entry: _Entry) -> tuple[str, ...]:
    """The classes in the metadata sentence of BigEarthNet."""
    match = _BEN_CLASSES.search(entry.caption) if entry.name.startswith("ben_") else None
    return split_classes(match.group(1)) if match else ()


def _strip_function(path: Path, metadata: str, templates: str) -> Callable[[str], str]:
    """A function that strips the metadata sentences from a caption, or keeps them."""
    if metadata not in {"strip", "keep"}:
        raise UserError(f"{path}: metadata must be strip or keep, not {metadata!r}")
    if metadata == "keep":
        return str
    patterns = _compile(Path(templates)) if templates else []

    def strip(caption: str) -> str:
        if _holds_no_cue(caption) or not _METADATA.search(caption):
            return caption
        for pattern in patterns:
            if (match := pattern.match(caption)) and match.group("rest"):
                return match.group("rest")
        return _after_metadata(caption)

    return strip


def _holds_no_cue(caption: str) -> bool:
    """Whether an ASCII text holds none of the words of `_METADATA`: a quarter of the time of a search for them."""
    if not caption.isascii():
        return False
    lower = caption.lower()
    return not any(map(lower.__contains__, _CUES))


def _after_metadata(caption: str) -> str:
    last = [match.end() for match in _METADATA.finditer(caption)][-1]
    end = _SENTENCE_END.search(caption, last)
    return caption[end.end() :] if end else caption


def _compile(path: Path) -> list[re.Pattern[str]]:
    """Patterns from the user's copy of the templates, the longest first; `rest` is the text after a template."""
    try:
        families = json.loads(path.read_text(encoding="utf-8"))
        templates = [template for family in families.values() for template in family if "{" in template]
    except (OSError, ValueError, AttributeError, TypeError, RecursionError) as error:
        raise UserError(f"{path}: not RS5M's template file: {error}") from error
    return [
        re.compile(".+?".join(map(re.escape, _PLACEHOLDER.split(template))) + r"\s+(?P<rest>\S.*)", re.DOTALL)
        for template in sorted(templates, key=len, reverse=True)
        if _METADATA.search(template) or "timestamp" in template
    ]
