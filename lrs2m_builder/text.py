"""Texts from outside: captions repaired once, so that all tokenizers agree on them; texts made safe to print."""

from __future__ import annotations

import html
import re

from lrs2m_builder.errors import SampleError

# ftfy and html.unescape leave such text as it is: ASCII with neither an entity nor a control character.
_NEEDS_REPAIR = re.compile(r"[^\t\n\r\x20-\x25\x27-\x7e]")
# CLIP's special tokens: one of them inside a caption would end or begin it for a tokenizer.
_CLIP_MARKERS = re.compile(r"<\|?(?:start_?of_?text|end_?of_?text)\|?>", re.IGNORECASE)
MAX_REPAIRS = 8
# Characters that move the cursor, colour, reorder or break a terminal's line: control characters but tab and newline,
# line separators, marks of writing direction, and halves of surrogate pairs, which cannot be encoded at all.
_UNPRINTABLE = re.compile(
    r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\ud800-\udfff]"
)
# Never in a stored text. A blank replaces control characters and whole terminal escape sequences; marks of
# writing direction, invisible marks, tags (hidden text) and codes that are not characters are removed.
_ESCAPES = re.compile(
    r"\x1b\[[0-?]*[ -/]*[@-~]|\x1b\][^\x07\x1b]{0,200}(?:\x07|\x1b\\)|\x1b[ -/]*[0-~]?|[\x00-\x08\x0e-\x1f\x7f]"
)
_PAIR, _HALF = re.compile(r"[\ud800-\udbff][\udc00-\udfff]"), re.compile(r"[\ud800-\udfff]")
# An ampersand escaped many times, which ftfy would unescape one level per pass over the whole text.
_NESTED = re.compile(r"&(?:(?:amp|AMP|#0{0,6}38|#[xX]0{0,6}26);){3,}")
_CONTROLS = re.compile(r"[\x80-\x9f]")  # ftfy reads them as Windows-1252 first
_UNSEEN = re.compile(
    r"[\u061c\u200b\u200e\u200f\u202a-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb\ufdd0-\ufdef\ufffe\uffff"
    r"\U000e0000-\U000e007f]"
)
MAX_TEXT = 65_536  # characters of a source text; the longest published captions have some 5,000
_WORD_JOINT = re.compile(r"[-_]|(?<=[a-z])(?=[A-Z])")


def _is_plain(text: str) -> bool:
    """Whether a text is printable ASCII without "&", as nearly all are; `_NEEDS_REPAIR` finds nothing in such a one.

    The three tests together take a tenth of the time of a search for the pattern.
    """
    return text.isascii() and "&" not in text and text.isprintable()


def repair(text: str) -> str:
    """Undo mojibake, curly quotes, full-width forms and HTML entities, exactly as open_clip's tokenizer does."""
    if _is_plain(text) or not _NEEDS_REPAIR.search(text):
        return text
    import ftfy  # late: most texts need no repair, and help should not wait for the import

    return html.unescape(html.unescape(ftfy.fix_text(text)))


def entering_text(value: object) -> str:
    """A source's caption, label or class name, normalised for storage (see `normalise_caption`); "" for None.

    Raises:
        SampleError: not_text for a value that is not a string, text_too_long for more than MAX_TEXT characters.
    """
    if value is None:
        return ""
    if not isinstance(value, str):
        raise SampleError("not_text", f"{type(value).__name__} where a text should be: {repr(value)[:80]}")
    if len(value) > MAX_TEXT:
        raise SampleError("text_too_long", f"a text of {len(value):,} characters; at most {MAX_TEXT:,} are allowed")
    return normalise_caption(value)


def normalise_caption(text: str) -> str:
    """A caption normalised for storage: repaired, without CLIP's special tokens, white space collapsed.

    Control characters, terminal escapes and marks that hide or reorder text are removed.

    The tokenizers of open_clip and transformers give the same ids for the result (transformers does not repair text
    itself), but for a few letters whose lower case they see differently, such as a Greek final sigma.
    """
    if _is_plain(text) and "<" not in text and "  " not in text and text.strip() == text:
        return text  # neither repair, nor special token, nor white space to collapse
    for _ in range(MAX_REPAIRS):
        better = " ".join(_CLIP_MARKERS.sub(" ", _clean(text)).split())
        if better == text:
            break
        text = better  # one repair may expose the need for another: an entity behind mojibake
    return text


def _clean(text: str) -> str:
    """The text repaired, without terminal escapes and marks that hide or reorder text; lone surrogates as U+FFFD."""
    if not _NEEDS_REPAIR.search(text):
        return text
    whole = _HALF.sub("\ufffd", _PAIR.sub(_joined, text))
    return _UNSEEN.sub("", _CONTROLS.sub(" ", repair(_NESTED.sub("&amp;", _ESCAPES.sub(" ", whole)))))


def _joined(pair: re.Match[str]) -> str:
    return pair[0].encode("utf-16", "surrogatepass").decode("utf-16")


_QUOTES = {'"': '"', "“": "”", "„": "“", "«": "»", "'": "'", "‘": "’", "`": "`", "「": "」"}
_ROLE = re.compile(
    r"\s*(?:<\|?[\w ]{1,30}\|?>\s*)?(?:assistant|model|chatbot|bot|ai)(?:\s*<\|?[\w ]{1,30}\|?>\s*|\s*:\s*|\s*\n+\s*)",
    re.IGNORECASE,
)
_FENCE = re.compile(r"\s*(`{3,}|~{3,})[a-z]*[ \t]*\n(.*?)\n?\1\s*", re.DOTALL)
_TAG = re.compile(
    r"\s*<(caption|answer|description|text|output|response|result|paragraph|p)>(.*?)</\1>\s*", re.DOTALL | re.IGNORECASE
)


def _taken_off(text: str) -> tuple[str, str]:
    """A text without its outermost enclosing marks, and those marks; the same text and "" without such marks."""
    if role := _ROLE.match(text):
        return text[role.end() :], role.group().strip()
    for pattern in (_FENCE, _TAG):
        if match := pattern.fullmatch(text):
            return match[2], match[1]
    bare = text.strip()
    for mark in ("***", "**", "__", "*"):
        if len(bare) > 2 * len(mark) and bare.startswith(mark) and bare.endswith(mark):
            inside = bare[len(mark) : -len(mark)]
            return (inside, mark) if mark not in inside and inside == inside.strip() else (text, "")
    end = _QUOTES.get(bare[:1], "")
    inside = bare[1:-1]
    if end and len(bare) > 2 and bare.endswith(end) and not {bare[0], end} & set(_without_apostrophes(inside)):
        return inside, bare[0] + end
    return text, ""


def _without_apostrophes(text: str) -> str:
    return re.sub(r"(?<=\w)['’](?=\w)|(?<=s)['’](?=\s)", "", text)


def wrapping(text: str) -> str:
    """The marks that enclose a whole answer: quotation marks, a role, a fence, a tag; "" without such marks."""
    return _taken_off(text)[1]


def without_wrapping(text: str) -> str:
    """An answer without the marks that some models put around it."""
    for _ in range(MAX_REPAIRS):
        better, marks = _taken_off(text)
        if not marks or not better.strip():
            break
        text = better
    return text


def plain_words(name: str) -> str:
    """A class as a caption would say it: "ground-track-field", "Industrial_Land" and "BaseballField" in lower case."""
    spaced = _WORD_JOINT.sub(" ", name)
    return " ".join(spaced.lower().split())


def printable(text: str, *, one_line: bool = False) -> str:
    """The text with terminal control characters escaped as in JSON, such as \\u001b.

    Args:
        one_line: also escape tabs and newlines, so that a name from outside cannot begin a line of its own.
    """
    shown = _UNPRINTABLE.sub(lambda match: f"\\u{ord(match[0]):04x}", text)
    return shown.replace("\n", "\\n").replace("\t", "\\t") if one_line else shown
