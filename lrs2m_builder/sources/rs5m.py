"""RS5M's short texts (its rs3 part: fMoW, BigEarthNet, MillionAID) from the CSV `name,caption`.

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
from pathlib import Path
from typing import Literal

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources.base import SourceRow

# Words that stand in metadata sentences alone. The visual sentence follows the sentence with the last of them.
_METADATA = re.compile(
    r"\butm zone\b|o'clock|\boff-nadir\b|\bazimuth\b|\bground sample distance\b|\btimestamp", re.IGNORECASE
)
_SENTENCE_END = re.compile(r"[.!?]\s+")
_PLACEHOLDER = re.compile(r"\{\w+\}")
_FMOW_CLASS = re.compile(r"fmow_(\D+?)_\d+_\d+_")
_BEN_CLASSES = re.compile(r"'([^']*(?:'s[^']*)*)'")  # the land-cover list in quotes; its names contain commas


def read(
    path: Path, prefix: str = "", metadata: Literal["strip", "keep"] = "strip", templates: str = ""
) -> Iterator[SourceRow]:
    """Yield one row a line, in the order of the file.

    Args:
        prefix: only names that begin so, such as "millionaid_"; it is not part of the image's name.
        metadata: whether the metadata sentences are cut off or kept.
        templates: path of RS5M's geometa_template.json; where it is not given, sentences are told by their words.

    Raises:
        UserError: not a CSV with the columns name and caption (the line is named), or no name with the prefix.
    """
    if metadata not in {"strip", "keep"}:
        raise UserError(f"{path}: metadata is strip or keep, not {metadata!r}")
    strip = _stripper(Path(templates) if templates else None) if metadata == "strip" else str
    found = False
    with path.open(encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file)
        try:
            if not {"name", "caption"} <= set(lines.fieldnames or ()):
                raise UserError(f"{path}: line 1: no columns name and caption; is this RS5M's list?")
            for line in lines:
                name, caption = line["name"], line["caption"]
                if name is None or caption is None:
                    raise UserError(f"{path}: line {lines.line_num}: no name or no caption")
                if name.startswith(prefix):
                    found = True
                    yield SourceRow(name[len(prefix) :], captions=(strip(caption),), label=_label(name, caption))
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path}: after line {lines.line_num}: not readable as CSV: {error}") from error
    if not found:
        raise UserError(f"{path}: no name begins with {prefix!r}")


def _label(name: str, caption: str) -> str:
    """The class that name or metadata state: one word of fMoW, the land-cover list of BigEarthNet."""
    if found := _FMOW_CLASS.match(name):
        return found.group(1).replace("_", " ")
    if name.startswith("ben_") and (found := _BEN_CLASSES.search(caption)):
        return found.group(1)
    return ""


def _stripper(templates: Path | None) -> Callable[[str], str]:
    patterns = _compile(templates) if templates else []

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
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise UserError(f"{path}: not RS5M's template file: {error}") from error
    return [
        re.compile(".+?".join(map(re.escape, _PLACEHOLDER.split(template))) + r"\s+(?P<rest>\S.*)", re.DOTALL)
        for template in sorted(templates, key=len, reverse=True)
        if _METADATA.search(template) or "timestamp" in template
    ]
