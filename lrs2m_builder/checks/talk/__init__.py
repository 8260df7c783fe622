"""Talk that is no caption: refusals, preambles, talk of the hint or of the text itself, guesses.

One learned model judges every sentence for all five (model.py).
A sentence that is judged wrongly is corrected by a line in `tests/cases/` or `talk_training/phrases/` and new weights.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from functools import cache
from importlib.resources import files

from lrs2m_builder.checks.base import Answer, Check, Level
from lrs2m_builder.text import wrapping

NAMES = ("refusal", "preamble", "hint_leak", "meta_text", "hedge")
WEIGHTS = files("lrs2m_builder.checks.talk").joinpath("weights.npz")
MAX_SHOWN = 120  # characters of a sentence in a finding


def _in_sentence(check: str, text: str, found: str) -> str | None:
    """The finding for the sentence that the model objects to; None if there is none."""
    from lrs2m_builder.checks.talk.model import worst_sentence  # numpy is loaded by the first text, not by --help

    sentence = worst_sentence(text, check)
    return found.format(_shortened(sentence)) if sentence is not None else None


def _shortened(sentence: str) -> str:
    quoted = sentence.strip()
    return quoted if len(quoted) <= MAX_SHOWN else f"{quoted[:MAX_SHOWN].rpartition(' ')[0]} ..."


def _learned(
    name: str, found: str, level: Level = "error", rule: Callable[[Answer], str | None] | None = None
) -> Check:
    def find(answer: Answer) -> str | None:
        return (rule(answer) if rule else None) or _in_sentence(name, answer.text, found)

    return Check(name, find, level)


def _wrapped(answer: Answer) -> str | None:
    marks = wrapping(answer.raw)
    return f"The answer was wrapped in marks ({marks}). Write the text alone." if marks else None


@cache
def weights_sha256() -> str:
    """The hash of the weights, which a build records."""
    return hashlib.sha256(WEIGHTS.read_bytes()).hexdigest()


REFUSAL = _learned("refusal", 'The answer refused ("{}"). Describe what can be seen, nothing else.')
# Those that warn have a precision below 0.95 on unseen texts (docs/checks.md).
PREAMBLE = _learned("preamble", 'The answer began with "{}". Begin with the description itself.', "warn", _wrapped)
HINT_LEAK = _learned("hint_leak", 'The answer spoke of the given text ("{}"). Speak of the image only.')
META_TEXT = _learned(
    "meta_text", 'The answer spoke of itself or to the reader ("{}"). Write the description alone.', "warn"
)
HEDGE = _learned("hedge", 'The answer guessed ("{}"). Say only what can be seen with confidence.', "warn")
