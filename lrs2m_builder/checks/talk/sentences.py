"""Sentences as speech: who speaks, which texts are spoken of, what is done, and whether a thing of the scene is named.

A caption shows; what else a model writes speaks. The checks for that decide a sentence by these few features.
"""

from __future__ import annotations

from collections.abc import Iterator, Set
from dataclasses import dataclass
from functools import lru_cache

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.nouns import read
from lrs2m_builder.checks.reading.tokens import SENTENCE_ENDS
from lrs2m_builder.checks.talk.lexicon import inflections

ME = word_set("i i'm i've i'll i'd me my mine myself we're we've we'll our ours")
YOU = word_set("you your yours yourself you're you've you'll you'd")
BOT = word_set("assistant ai chatbot llm vlm gpt chatgpt")
IMAGE = word_set(
    "image images picture pictures photo photos photograph photographs file files attachment attachments upload link "
    "url imagery scene content material"
)
NOT = word_set(
    "not cannot can't couldn't don't didn't doesn't isn't wasn't aren't won't wouldn't haven't hasn't unable "
    "impossible "
    "no never nothing none without nor neither lack lacks lacking insufficient hardly cant"
)
# What a model is asked to do, and says that it does or does not.
TASK = inflections(
    "describe caption summarise summarize help assist comply answer generate produce provide analyse analyze "
    "process verify determine interpret proceed fulfil fulfill judge elaborate comment paraphrase rewrite respond"
) | word_set("write request requests task question description descriptions caption captions summary answer response")
# Words for writing of a scene that name no text in it: paint, boards, stone.
LETTERS = inflections("paint carve mow spell inscribe engrave print letter bear hang spray chisel") | word_set(
    "sign signs board boards billboard billboards mural banner banners graffiti lettering poster plaque panel roof "
    "signpost hoarding writing written hull asphalt monument facade gravel memorial tombstone gravestone "
    "inscription logo container"
)
# Parts and stuffs of a scene that are no classes of the vocabulary.
SEEN = word_set(
    "roof roofs rooftop rooftops wall walls facade facades tile tiles surface surfaces ground floor stripe stripes "
    "shadow shadows hull hulls deck decks mast masts dome domes chimney window windows people person animal animals "
    "crop crops texture gravel concrete clay granite plot plots bank shore slope slopes district quarter ring arc"
)


@dataclass(frozen=True, slots=True)
class Sentence:
    """The words of a sentence, in order and as a set; `seen` where it names a class of the scene."""

    tokens: tuple[str, ...]
    words: frozenset[str]
    seen: bool
    names: tuple[int, ...] = ()  # where the words stand that make it seen

    def has(self, *kinds: Set[str]) -> bool:
        """Whether it holds a word of each kind."""
        return not any(self.words.isdisjoint(kind) for kind in kinds)

    def lead(self) -> Sentence | None:
        """What stands before its first colon, as far as it names nothing of the scene; None without a colon."""
        if ":" not in self.tokens:
            return None
        tokens = self.tokens[: self.tokens.index(":")]
        return Sentence(tokens, frozenset(tokens), self.names_before(len(tokens)))

    def names_before(self, end: int) -> bool:
        """Whether one of its first words names a class of the scene or a part of one."""
        return any(place < end for place in self.names)

    def phrase_at(self, start: int, length: int) -> tuple[str, ...]:
        """Its words from a position on, as many as there are."""
        return self.tokens[start : start + length]


@lru_cache(maxsize=256)
def sentences(text: str) -> tuple[Sentence, ...]:
    """The sentences of a text, as the vocabulary reads it."""
    return tuple(_sentences(text))


def _sentences(text: str) -> Iterator[Sentence]:
    known = read(text)
    starts = [mention.start for mention in known.mentions]
    begin = 0
    for end in range(len(known.tokens) + 1):
        if end == len(known.tokens) or known.tokens[end] in SENTENCE_ENDS:
            if tokens := known.tokens[begin:end]:
                names = [start - begin for start in starts if begin <= start < end]
                names += [i for i, token in enumerate(tokens) if token in SEEN]
                yield Sentence(tokens, frozenset(tokens), bool(names), tuple(names))
            begin = end + 1
