"""No check takes longer than in proportion to a text's length: a megabyte of anything is judged in seconds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
ENOUGH_S = 500  # all texts together take some 20 s; one step that grows with the square of the length takes hours
SCRIPT = """
from benchmarks._labelled import shipped_checks
from lrs2m_builder.checks import Answer
from lrs2m_builder.tokenizer import count_tokens
from lrs2m_builder.schema import Anchor, Sample
from lrs2m_builder.text import normalise_caption, without_wrapping

UNITS = (
    "a",
    "the white plane stands near a long road and the building ",
    "A plane is on the left. ",
    "two planes and three white ships 12 ",
    "1 ",
    "the pond on the left and the pond on the right ",
    "it cannot be seen, not like a ship without any ",
    "([{<",
    "\\n \\n",
    "1. a\\n- ",
    "in 1999 San Francisco River of I ",
    "\\u505c\\u8f66\\u573a ",
    "\\u00c3\\u00a2 \\u00e2",
    '"',
)
anchors = (Anchor("plane", 2), Anchor("mast", 1))
for unit in UNITS:
    text = unit * (1_000_000 // len(unit))
    sample = Sample("a/1", "a", "1", None, ("Two planes near a terminal.", text), "", anchors)
    for source in (text, "A plane."):
        answer = Answer(text, text, "stop", 4, sample, source, "drone")
        for check in shipped_checks().values():
            check.find(answer)
    part = text[:100_000]
    count_tokens(normalise_caption(without_wrapping(part)))
"""


def test_a_megabyte_of_anything_is_judged_by_every_check() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], cwd=ROOT, timeout=ENOUGH_S, check=True)
