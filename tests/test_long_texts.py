"""No check takes longer than in proportion to a text's length: a megabyte of anything is judged in seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
SIZE = 1_000_000
ENOUGH_S = 240  # some hundred times what a text takes; what grows with the square of the length takes hours
UNITS = {
    "one long word": "a",
    "one sentence without a stop": "the white plane stands near a long road and the building ",
    "many sentences": "A plane is on the left. ",
    "many numbers": "two planes and three white ships 12 ",
    "digits": "1 ",
    "left and right": "the pond on the left and the pond on the right ",
    "negations": "it cannot be seen, not like a ship without any ",
    "brackets": "([{",
    "newlines": "\n \n",
    "line breaks between words": "1. a\n- ",
    "years and names": "in 1999 San Francisco River of I ",
    "another script": "停车场 ",
    "broken letters": "Ã¢ â",
}
SCRIPT = """
import sys
from benchmarks._labelled import shipped_checks
from lrs2m_builder.checks import Answer, split_words
from lrs2m_builder.clip.tokenizer import count_tokens
from lrs2m_builder.schema import Anchor, Sample
from lrs2m_builder.text import normalise_caption

text = sys.argv[1] * (int(sys.argv[2]) // len(sys.argv[1]))
anchors = (Anchor("plane", 2), Anchor("mast", 1))
sample = Sample("a/1", "a", "1", None, ("Two planes near a terminal.", text), "", anchors)
clean = normalise_caption(text)
for answer in (
    Answer(clean, text, split_words(clean), "stop", count_tokens(clean), sample, text, "drone"),
    Answer(text, text, split_words(text), "stop", 4, sample, "A plane.", "satellite"),
):
    for check in shipped_checks().values():
        check.find(answer)
"""


@pytest.mark.parametrize("kind", UNITS)
def test_a_megabyte_is_judged_by_every_check(kind: str) -> None:
    subprocess.run([sys.executable, "-c", SCRIPT, UNITS[kind], str(SIZE)], cwd=ROOT, timeout=ENOUGH_S, check=True)
