"""Captions as they enter the dataset: repaired once, so that every tokenizer agrees about them afterwards."""

from __future__ import annotations

import html
import re

import ftfy

# ftfy and html.unescape leave such text as it is: ASCII with neither an entity nor a control character.
_NEEDS_REPAIR = re.compile(r"[^\t\n\r\x20-\x25\x27-\x7e]")
# The markers of the CLIP vocabulary: one of them inside a caption would end or begin it for a tokenizer.
_CLIP_MARKERS = re.compile(r"<\|?(?:start_?of_?text|end_?of_?text)\|?>", re.IGNORECASE)
MAX_REPAIRS = 8
_WORD_JOINT = re.compile(r"[-_]|(?<=[a-z])(?=[A-Z])")


def repair(text: str) -> str:
    """Undo mojibake, curly quotes, full-width forms and HTML entities, exactly as open_clip's tokenizer does."""
    if not _NEEDS_REPAIR.search(text):
        return text
    return html.unescape(html.unescape(ftfy.fix_text(text)))


def normalise_caption(text: str) -> str:
    """A caption as it is stored: repaired, without CLIP's special tokens, white space collapsed.

    The tokenizers of open_clip and transformers give the same ids for the result (transformers does not repair text
    itself), but for a few letters whose lower case they see differently, such as a Greek final sigma.
    """
    for _ in range(MAX_REPAIRS):
        better = " ".join(_CLIP_MARKERS.sub(" ", repair(text)).split())
        if better == text:
            break
        text = better  # one repair may lay another open: an entity behind mojibake
    return text


def plain_words(name: str) -> str:
    """A class as a caption would say it: "ground-track-field", "Industrial_Land" and "BaseballField" in lower case."""
    spaced = _WORD_JOINT.sub(" ", name)
    return " ".join(spaced.lower().split())
