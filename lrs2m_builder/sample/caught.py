"""The false words that a build cut from its texts; first those that the truth of the drawn scene refutes."""

from __future__ import annotations

import base64
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import SequenceMatcher
from pathlib import Path
from typing import Any

from lrs2m_builder.build.shards import iter_rows
from lrs2m_builder.checks.reading.number_words import spoken
from lrs2m_builder.sample.drawing.placing import KINDS
from lrs2m_builder.sample.drawing.scene import draw_scene
from lrs2m_builder.sample.words import ALSO_CALLED
from lrs2m_builder.verify.claims import claims_of

_CLASS_OF = {noun: name for name in KINDS for noun in (name, *ALSO_CALLED.get(name, ()))}
_NOUN = re.compile("|".join(rf"\b{re.escape(noun)}(?:s|es)?\b" for noun in sorted(_CLASS_OF, key=len, reverse=True)))


@dataclass(frozen=True, slots=True)
class Caught:
    """A text of which words were cut.

    Attributes:
        scene: the number of the scene in its name.
        image: base64 of the image file.
        before: the text as it was written, in pieces: words, and whether they were cut.
        after: the text of the row.
        claims: the statements that were called false: their words and probabilities.
        truth: what the scene has, in words.
        refuted: the first of the statements that the scene refutes; "" if it decides none of them.
    """

    scene: str
    image: str
    before: tuple[tuple[str, bool], ...]
    after: str
    claims: tuple[tuple[str, float], ...]
    truth: str
    refuted: str


def find_caught(build: Path, seed: int) -> list[Caught]:
    """The texts of a build of drawn scenes from which words were cut, those refuted by their scene first.

    Args:
        seed: of the scenes.

    Raises:
        UserError: a shard cannot be read.
    """
    found = [
        _caught(row, seed)
        for path in sorted((build / "data").rglob("*.parquet"))
        for row in iter_rows(path)
        if row["uncut"]
    ]
    return in_order(found)


def in_order(found: Iterable[Caught]) -> list[Caught]:
    """Those first whose scene refutes them, and of these the ones that the judge is surest of."""
    return sorted(found, key=lambda each: (not each.refuted, min(p for _, p in each.claims)))


def _caught(row: Mapping[str, Any], seed: int) -> Caught:
    (uncut, *_) = row["uncut"]
    stem = Path(row["sample_id"]).stem
    counts = draw_scene(seed, int(stem)).counts
    false = [(claim["words"], float(claim["p"])) for claim in uncut["false_claims"]]
    return Caught(
        scene=stem,
        image=base64.b64encode(row["image"]["bytes"]).decode(),
        before=pieces(uncut["text"], row[uncut["column"]]),
        after=row[uncut["column"]],
        claims=tuple(false),
        truth=", ".join(f"{number} {name}" for name, number in counts.items()),
        refuted=next((words for words in _statements(uncut["text"], false) if is_refuted(words, counts)), ""),
    )


def pieces(before: str, after: str) -> tuple[tuple[str, bool], ...]:
    """A text in pieces, word by word as it was written, and whether each was cut; a comma or a capital is no word."""
    words, rest = before.split(), after.split()
    plain, kept = ([word.lower().strip(".,;:") for word in each] for each in (words, rest))
    found: list[tuple[str, bool]] = []
    for kind, start, end, _, _ in SequenceMatcher(None, plain, kept, autojunk=False).get_opcodes():
        if start < end:
            found.append((" ".join(words[start:end]), kind != "equal"))
    return tuple(found)


def _statements(text: str, false: Iterable[tuple[str, float]]) -> list[str]:
    """The false statements of objects, numbers and absences: what the counts of a scene can decide."""
    decidable = {claim.words for claim in claims_of(text) if claim.kind in {"object", "count", "denial"}}
    return [words for words, _ in false if words in decidable]


def is_refuted(statement: str, counts: Mapping[str, int]) -> bool:
    """Whether a statement of the form "There are four cars in the image" is false of a scene with these objects."""
    lower = statement.lower()
    match = _NOUN.search(lower)
    if match is None:
        return False  # land cover: the scene has no count of it
    name = next(_CLASS_OF[noun] for noun in (match[0], match[0][:-1], match[0][:-2]) if noun in _CLASS_OF)
    number = counts.get(name, 0)
    said = next((n for n in range(1, 100) if re.search(rf"\b(?:{spoken(n)}|{n})\b", lower)), None)
    if re.search(r"\bno\b", lower):
        return number > 0
    return number == 0 or (said is not None and said != number)
