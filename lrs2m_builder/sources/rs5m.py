"""RS5M's short texts (its rs3 part: fMoW, BigEarthNet, MillionAID), from the CSV `name,caption` or from its tars.

The tars (rs3-train-0000.tar and so on) hold the images too, three members a sample: `KEY.img_name`, `KEY.img_content`
(the bytes of the file) and `KEY.caption`.

A caption of fMoW or BigEarthNet is a metadata sentence made from a template, then a sentence that BLIP-2 saw. The first
holds season, UTM zone, time and viewing angles, which no image shows: on 8,000 real rows it makes fMoW's captions 130
CLIP tokens long (median), of which the visual sentence is 12. So it is cut off unless it is to be kept, as the
paper did (its BigEarthNet short texts average 65.77 tokens).
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

# Words that stand in metadata sentences alone. The visual sentence follows the sentence with the last of them.
_METADATA = re.compile(
    r"\butm zone\b|o'clock|\boff-nadir\b|\bazimuth\b|\bground sample distance\b|\btimestamp", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?]\s+")
_PLACEHOLDER = re.compile(r"\{\w+\}")
MAX_TEXT_BYTES = 2**20
_FMOW_CLASS = re.compile(r"fmow_(.+?)_\d+_\d+_")
_BEN_CLASSES = re.compile(r"(?<!\w)'(.+?)'(?!\w)")  # the land-cover list in quotes, no genitive


@dataclass(frozen=True, slots=True)
class _Entry:
    """A sample as RS5M has it; the CSV holds no images."""

    name: str
    caption: str
    image: TarMember | None = None
    problem: tuple[str, str] | None = None


def read(
    path: Path, prefix: str = "", metadata: Literal["strip", "keep"] = "strip", templates: str = ""
) -> Iterator[SourceRow]:
    """Yield one row a sample, in the order of the file.

    Args:
        prefix: only names that begin so, such as "millionaid_"; it is not part of the image's name.
        metadata: whether the metadata sentences are cut off or kept.
        templates: path of RS5M's geometa_template.json; where it is not given, sentences are told by their words.

    Raises:
        UserError: not a CSV with the columns name and caption (the line is named), or no name with the prefix; or not
            a tar.
    """
    strip = _strip_function(path, metadata, templates)
    found = False
    for entry in _read_tar(path) if path.suffix == ".tar" else (_Entry(*line) for line in _read_csv(path)):
        if not entry.name.startswith(prefix) and entry.problem is None:
            continue
        found = True
        classes = _land_cover(entry)
        yield SourceRow(
            entry.name.removeprefix(prefix),
            captions=(strip(entry.caption),),
            label=_fmow_class(entry) or "; ".join(classes),
            anchors=tuple(Anchor(name) for name in classes),
            image=entry.image,
            problem=entry.problem,
        )
    if not found and path.suffix != ".tar":  # a name may well be in none of the samples of one tar
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
    """The samples of a tar. One whose name is lost could be of any subset: it is a problem of each."""
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
    """A text in the archive; "" where it is missing or cut off. What is not UTF-8 becomes U+FFFD."""
    if member is None:
        return ""
    try:
        member = replace(member, size=min(member.size, MAX_TEXT_BYTES))  # what is longer is too long in any case
        return read_image(member).decode("utf-8", "replace").strip()
    except SampleError:
        return ""


def _fmow_class(entry: _Entry) -> str:
    """The class in a name of fMoW's: "fmow_oil_or_gas_facility_3_1_rgb.jpg"."""
    found = _FMOW_CLASS.match(entry.name)
    return plain_words(found.group(1)) if found else ""


def _land_cover(entry: _Entry) -> tuple[str, ...]:
    """The classes that the metadata sentence of BigEarthNet names."""
    found = _BEN_CLASSES.search(entry.caption) if entry.name.startswith("ben_") else None
    return split_classes(found.group(1)) if found else ()


def _strip_function(path: Path, metadata: str, templates: str) -> Callable[[str], str]:
    """What cuts the metadata sentences off a caption, or keeps them."""
    if metadata not in {"strip", "keep"}:
        raise UserError(f"{path}: metadata is strip or keep, not {metadata!r}")
    if metadata == "keep":
        return str
    patterns = _compile(Path(templates)) if templates else []

    def strip(caption: str) -> str:
        if not _METADATA.search(caption):
            return caption
        for pattern in patterns:
            if (found := pattern.match(caption)) and found.group("rest"):
                return found.group("rest")
        return _after_metadata(caption)

    return strip


def _after_metadata(caption: str) -> str:
    last = [found.end() for found in _METADATA.finditer(caption)][-1]
    end = _SENTENCE_END.search(caption, last)
    return caption[end.end() :] if end else caption


def _compile(path: Path) -> list[re.Pattern[str]]:
    """Patterns of the user's own copy of the templates, the longest first; what follows a template is `rest`."""
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
