"""Is every sentence English? No letter is of another script, and most words are English.

Of a sentence with fewer English words, a language model of n-grams says.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

import regex

from lrs2m_builder.checks.base import Answer, Check, beginning, split_sentences, without_writing
from lrs2m_builder.checks.reading.english import english_words
from lrs2m_builder.checks.reading.lexicon import late_pattern

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

_BEFORE_WRITING = late_pattern("writing", "before", regex.compile)
# A few words between quotation marks, as writing is given: 'a board with "出口" in red'.
_QUOTED = regex.compile(r"""["“„«‘「'][^"“”„«»‘’「」']{1,40}["”“»’」']""")
_PARTS = regex.compile(r"(?<=[.!?…])[\"'”’)\]]*\s+|[。！？।؟]\s*|(?<!\s)\s+[|/]\s+|\n+")
_ASIDES = regex.compile(r"[()\[\];:\"“”«»]")
# A word that is no name: it begins small, or it is the first of its part. Captions of people name places in small
# letters, which is why a part needs more than a few such words to be judged.
_WORD = regex.compile(r"(?<![\w'’-])[\p{L}\p{M}]+(?:['’-][\p{L}\p{M}]+)*")
_NAME_LINK = regex.compile(
    r"\b(?:de|du|des|del|di|da|do|dos|la|le|les|el|al|von|van|der|den)\b(?=(?:\s+\p{Ll}{1,3})?\s+\p{Lu})"
)
# A letter of another script; a Greek one alone is a symbol, as in formulas.
_OTHER_SCRIPT = regex.compile(r"[^\P{L}\p{Latin}\p{Common}\p{Inherited}\p{Greek}]\S*|\p{Greek}{2,}")
ENGLISH_SHARE = 0.7  # of 64,000 published captions, 0.2 % have a smaller share of English words
FOREIGN_SHARE = 0.5
NO_ENGLISH = 0.3
LIKELY = 0.35
SURE = 0.8
MIN_AROUND = 3  # words of a sentence beside what it quotes, without which the quotation is the sentence


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def _other_script(text: str) -> regex.Match[str] | None:
    """The first words of another script that are no writing in the scene, on a sign or a roof."""
    for sentence in split_sentences(text):
        unquoted = _QUOTED.sub(" ", sentence)
        if len(_WORD.findall(unquoted)) >= MIN_AROUND:
            sentence = unquoted
        if (found := _OTHER_SCRIPT.search(sentence)) and not _BEFORE_WRITING.search(sentence[: found.start()]):
            return found
    return None


def _is_foreign(part: str, min_words: int) -> bool:
    part = _NAME_LINK.sub("", part)
    said = _WORD.findall(part)
    words = [word for number, word in enumerate(said) if number == 0 or not word[0].isupper()]
    if len(said) < min_words or len(words) < 2:
        return False
    known = english_words()
    share = sum(_is_english(word.lower(), known) for word in words) / len(words)
    if share >= ENGLISH_SHARE:
        return False
    language, probability = _identifier().classify(part.lower())
    enough = 0.0 if share < NO_ENGLISH else LIKELY if share < FOREIGN_SHARE else SURE
    return bool(language != "en" and probability > enough)


def _is_english(word: str, known: frozenset[str]) -> bool:
    return word in known or any(piece in known for piece in regex.split(r"['’-]", word) if len(piece) > 2)


def _language(answer: Answer) -> str | None:
    """Every sentence is English, in Latin letters; a foreign name or a loan word in it does no harm."""
    if not answer.text.isascii() and (found := _other_script(beginning(answer.text))):
        return f'The answer was not all in English ("{found.group()[:60]}"). Write in English only.'
    for part in _PARTS.split(without_writing(answer.text)):
        pieces = _ASIDES.split(part)
        asides = pieces if len(pieces) > 1 else ()
        if part and (_is_foreign(part, 3) or any(_is_foreign(piece, 6) for piece in asides)):
            return f'The answer was not all in English ("{part.strip()[:60]}"). Write in English only.'
    return None


LANGUAGE = Check("language", _language)
