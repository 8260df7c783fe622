"""Texts from outside: captions repaired once, so that every tokenizer agrees about them; what a terminal may show."""

from __future__ import annotations

import html
import re

# ftfy and html.unescape leave such text as it is: ASCII with neither an entity nor a control character.
_NEEDS_REPAIR = re.compile(r"[^\t\n\r\x20-\x25\x27-\x7e]")
# The markers of the CLIP vocabulary: one of them inside a caption would end or begin it for a tokenizer.
_CLIP_MARKERS = re.compile(r"<\|?(?:start_?of_?text|end_?of_?text)\|?>", re.IGNORECASE)
MAX_REPAIRS = 8
# What would move the cursor, colour, reorder or break the line of a terminal: control characters but tab and newline,
# line separators, marks of writing direction, and halves of surrogate pairs, which no terminal can be sent at all.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
_WORD_JOINT = re.compile(r"[-_]|(?<=[a-z])(?=[A-Z])")


def repair(text: str) -> str:
    """Undo mojibake, curly quotes, full-width forms and HTML entities, exactly as open_clip's tokenizer does."""
    if not _NEEDS_REPAIR.search(text):
        return text
    import ftfy  # most texts need none, and a command that shows its help should not wait for it

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


def printable(text: str, *, one_line: bool = False) -> str:
    """The text with escapes such as \\u001b in the place of what would command a terminal; the same escapes as in JSON.

    Args:
        one_line: also escape tabs and newlines: a name from outside must not begin a line of its own.
    """
    shown = _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return shown.replace("\n", "\\n").replace("\t", "\\t") if one_line else shown
