"""The noun phrases of a text in its own words, ready for a statement: "a red tractor", "many green trees"."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.nouns import Mention, Text
from lrs2m_builder.checks.reading.number_words import number_at, spoken
from lrs2m_builder.checks.reading.place_phrases import WHERE
from lrs2m_builder.checks.reading.tokens import STOPS
from lrs2m_builder.checks.reading.vocabulary import singular_of

MAX_ADJECTIVES = 5
_VAGUE = word_set("many several numerous multiple few countless")  # they stay: "many trees" says more than "trees"
_QUANTIFIERS = word_set(
    "some various other others different more most few lots lot plenty much such same only also further additional "
    "remaining entire whole half part several many numerous multiple countless each every both either total number "
    "no not any "
    "nearby first second third fourth fifth last next largest smallest longest tallest widest biggest nearest"
) | frozenset(WHERE)
_LOOKS = word_set(
    "red blue green white black gray grey brown yellow orange beige silver pink purple tan dark light pale bright "
    "large small big long short narrow wide tall low round square rectangular circular oval flat dense sparse lush"
)
_ADJECTIVES_IN_ING = word_set("surrounding neighboring neighbouring adjoining sloping winding existing curving")
_MASS = word_set(
    "water grass grassland greenery vegetation foliage soil sand concrete gravel asphalt farmland cropland woodland "
    "land shade shadow traffic snow ice fog haze dirt earth terrain ground pavement turf sea scrub shrubbery bareland "
    "wasteland marshland wetland stone rock rubble coal steam surf"
)
_AN = word_set("hour hourglass honest")
_A = ("uni", "use", "usu", "eu", "one", "u-")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A noun phrase without article and number.

    Attributes:
        start, end: its tokens, adjectives included.
        words: as the text writes them.
        is_one: whether it speaks of a single thing.
        vague: "many", "several" and their like, before it; "" without one.
    """

    start: int
    end: int
    words: str
    is_one: bool
    vague: str = ""

    @property
    def be(self) -> str:
        """The verb."""
        return "is" if self.is_one else "are"

    @property
    def some(self) -> str:
        """With an article, or the text's own "many"."""
        if self.vague:
            return f"{self.vague} {self.words}"
        return article(self.words) if self.is_one else self.words

    def counted(self, number: int) -> str:
        """With a number."""
        words = self.words
        if number == 1:
            rest, _, head = words.rpartition(" ")
            words = f"{rest} {singular_of(head)}".strip()
        return f"{spoken(number) if number < 100 else number} {words}"


def article(words: str) -> str:
    """The words with "a" or "an"; those for a mass are left alone."""
    lower = words.lower()
    if " of " not in lower and lower.rsplit(maxsplit=1)[-1].rpartition("-")[2] in _MASS:
        return words
    vowel = (lower[:1] in set("aeiou") and not lower.startswith(_A)) or lower.split()[0] in _AN
    return f"{'an' if vowel else 'a'} {words}"


def phrase_of(text: Text, written: str, spans: Sequence[tuple[int, int]], mention: Mention) -> Phrase:
    """The phrase around a mention, with the adjectives before it.

    Args:
        written: the text itself.
        spans: of its tokens (`token_spans`).
    """
    tokens = text.tokens
    ends = {other.end: other for other in text.mentions}
    start = mention.start
    while start and mention.start - start < MAX_ADJECTIVES:
        if (other := ends.get(start)) is not None and not other.plural:
            start = other.start  # "a storage tank farm"
            continue
        step = _adjective_before(tokens, start, ends)
        if not step and start not in text.glued:
            break
        start -= step or 1
    before = tokens[start - 1] if start else ""
    is_one = before in {"a", "an", "one", "single"} or not mention.plural
    end = _end_of(text, mention)
    vague = before if before in _VAGUE else ""
    if vague == "few" and start > 1 and tokens[start - 2] == "a":
        vague = "a few"
    return Phrase(start, end, _slice(written, spans, start, end), is_one, vague)


def _end_of(text: Text, mention: Mention) -> int:
    """Where a phrase ends: "a large area of bare land" is one."""
    if mention.classes == {"area"} and text.tokens[mention.end : mention.end + 1] == ("of",):
        return next((m.end for m in text.mentions if m.start in range(mention.end + 1, mention.end + 4)), mention.end)
    return mention.end


def _adjective_before(tokens: Sequence[str], start: int, ends: Collection[int]) -> int:
    """How many tokens before a position belong to its adjectives: one, two with a comma or "and", or none."""
    token = tokens[start - 1]
    if token in {",", "and"}:
        return 2 if start > 1 and tokens[start - 2] in _LOOKS and tokens[start] in _LOOKS else 0
    if token in STOPS or token in _QUANTIFIERS or start in ends or (start - 1 in ends and token not in _LOOKS):
        return 0
    if not token[0].isalpha() or number_at(tokens, start - 1) is not None:
        return 0
    if token.endswith("ing") and token not in _ADJECTIVES_IN_ING:
        return 0
    plural_before = start > 1 and _is_plural(tokens[start - 2])  # "roofs cast shadows"
    return 0 if _is_plural(token) or (plural_before and token not in _LOOKS) else 1


def _is_plural(token: str) -> bool:
    """Whether a word looks like a noun in the plural, or a verb of a single subject."""
    return token.endswith("s") and not token.endswith(("ss", "ous")) and token not in STOPS


def _slice(written: str, spans: Sequence[tuple[int, int]], start: int, end: int) -> str:
    """The words between two tokens, in lower case at the start of a sentence."""
    words = written[spans[start][0] : spans[end - 1][1]].lstrip("-")
    begins = start == 0 or written[: spans[start][0]].rstrip()[-1:] in {".", "!", "?", ";", ":"}
    is_name = words[:2].isupper() or "-" in words[:2]
    words = " ".join(words.split())
    return words[0].lower() + words[1:] if begins and not is_name else words.removesuffix("'s").removesuffix("’s")
