"""What the model of talk learns from: the labelled cases of the tests, phrases, and published captions."""

from __future__ import annotations

import json
import os
import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path

from lrs2m_builder.checks.talk import NAMES

ROOT = Path(__file__).parent.parent
CASES = ROOT / "tests" / "cases"
PHRASES = Path(__file__).parent / "phrases"
PER_PHRASE = 40  # texts that a line of phrases is written out to, at most
NUM_HELD_OUT = 3000  # published captions that are never trained on
_CHOICE = re.compile(r"\(([^()]*\|[^()]*)\)")
_GUESS = re.compile(
    r"\b(?:maybe|perhaps|probably|possibly|seems?|might|likely|(?:should|must|may|could) be|looks? like|presumably"
    r"|suppose|guess|appears? to be)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class Text:
    """A labelled text.

    Attributes:
        kind: the check it was labelled for, or "caption".
        bad: whether that check must find something.
        origin: "case", "phrase" or "caption".
    """

    text: str
    kind: str
    bad: bool
    origin: str

    def label_for(self, check: str) -> bool | None:
        """Whether it is a fault for a check; None if it says nothing of it."""
        if self.kind == check:
            return self.bad
        if (self.bad and self.kind in NAMES) or (check == "hedge" and _GUESS.search(self.text)):
            return None
        return False


def order_of(text: str) -> int:
    """A number that only depends on a text: decides its fold and whether a caption is held out."""
    return int(sha256(text.lower().encode()).hexdigest(), 16)


def read_cases() -> list[Text]:
    """The labelled cases of every check, once each."""
    texts = []
    for path in sorted(CASES.glob("*.jsonl")):
        rows = (json.loads(line) for line in path.read_text(encoding="utf-8").splitlines())
        texts += [Text(row["text"], path.stem, row["bad"], "case") for row in rows]
    return texts


def written_out(line: str, most: int) -> list[str]:
    """Texts of a line with choices such as "(a|b)": at most so many, always the same ones."""
    choose = random.Random(line)
    texts = dict.fromkeys(
        " ".join(_CHOICE.sub(lambda match: choose.choice(match[1].split("|")), line).split()) for _ in range(3 * most)
    )
    return list(texts)[:most]


def read_phrases(captions: list[str]) -> list[Text]:
    """The phrases of talk ("+") and of plain captions ("-"), written out.

    A phrase that announces a text, with a colon or dash at its end, is followed by one of the captions.
    """
    texts = []
    choose = random.Random(0)
    for path in sorted(PHRASES.glob("*.txt")):
        for line in path.read_text(encoding="utf-8").splitlines():
            sign, _, phrase = line.partition(" ")
            if sign not in {"+", "-"}:
                raise ValueError(f"{path}: a line begins with '+ ' or '- ': {line!r}")
            for text in written_out(phrase, PER_PHRASE):
                announces = path.stem == "preamble" and sign == "+" and text[-1:] in {":", "-", "—"}
                whole = f"{text} {choose.choice(captions)}" if announces and captions else text
                texts.append(Text(whole, path.stem, sign == "+", "phrase"))
    return texts


def read_captions() -> list[str]:
    """Published human captions below $LRS2M_REAL_DATA, once each, in an order that only depends on their words."""
    if not (folder := os.environ.get("LRS2M_REAL_DATA")):
        raise SystemExit("LRS2M_REAL_DATA must name the folder of published captions")
    root = Path(folder)
    captions = {" ".join(text.split()).lower(): " ".join(text.split()) for text in _captions(root)}
    return sorted(captions.values(), key=order_of)


def _captions(root: Path) -> Iterator[str]:
    for name in ("captions_val2017", "captions_test2017"):
        for row in json.loads((root / "rsicd" / "coco_format" / f"{name}.json").read_text())["annotations"]:
            yield row["caption"]
    rsitmd = root / "rsitmd" / "rsitmd_precomp" / "train_caps.txt"
    yield from rsitmd.read_text(encoding="utf-8", errors="replace").splitlines()
    for name in ("ucm_captions/dataset_ucm.json", "sydney_captions/dataset_sydney_modified.json"):
        for image in json.loads((root / name).read_text())["images"]:
            yield from (sentence["raw"] for sentence in image["sentences"])
