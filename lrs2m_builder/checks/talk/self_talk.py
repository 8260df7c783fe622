"""Whether a sentence speaks of the answer, the task or to the reader, by who speaks and whether the scene is named."""

from __future__ import annotations

import re

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.talk.lexicon import inflections
from lrs2m_builder.checks.talk.sentences import LETTERS, ME, YOU, Sentence, sentences

# Words of talk: a sentence that holds one and names nothing that can be seen is no part of a caption.
_ABOUT = inflections(
    "describe train return request draft revise edit rephrase reword shorten summarise summarize translate say "
    "phrase clarify caption mention avoid omit add invent guess speculate assume name adjust choose comment "
    "mislead exaggerate interpret elaborate quote hope prefer wish reply respond inform"
) | word_set(
    "wrote word words text texts caption captions description descriptions markup output version model models "
    "prompt answer "
    "answers question questions token tokens ai summary wording reply user assistant brevity conciseness clarity "
    "concise sentence sentences paragraph instruction instructions reader readers feedback hello thanks please sure "
    "json english requirements guidelines task needed required gist website brief conclusions correction "
    "unmentioned rated purpose purposely rating score scale glad happy welcome "
    "adjectives grammar spelling accuracy reading read objectivity speculation assumption assumptions guesswork"
)
_QUESTION = re.compile(
    r"(?:^|(?<=[.!?]\s))(?:is|are|do|does|did|can|could|would|should|shall|will|what|which|how|where|who|why"
    r"|may|have|any|need|want)\b[^.!?]*\?(?=\W*(?:\s|$))",
    re.IGNORECASE,
)
_WILL = word_set("will shall would must should did had have")
_I_WILL = word_set("i'll i've i'd i'm")
_CONSULT = word_set("see refer consult check compare")
_ASKED = _ABOUT | inflections("need want like ask change adjust use shorten expand provide require")
_HEADS = word_set("title headline heading version option alternative draft correction")
_COUNTS = word_set("two three four a an")  # "two words describe it: green and quiet", "in a word: empty"
# What a viewer does: "we can see", "if you look closely".
_VIEWS = inflections("see look find follow enter reach notice watch view") | word_set("eye eyes")


def self_talk(text: str) -> str:
    """The first sentence of talk, or a question that names nothing of the scene; "" where there is none."""
    for said in sentences(text):
        if _speaks(said):
            return " ".join(said.tokens)
    for found in _QUESTION.finditer(text) if "?" in text else ():
        if not any(said.seen for said in sentences(found.group())):
            return found.group().strip()
    return ""


def _speaks(said: Sentence) -> bool:
    """Whether a sentence that names nothing of the scene, or its lead, speaks of words, or somebody speaks in it."""
    if (said.has({"i"}, _WILL) and not said.has(_VIEWS)) or not said.words.isdisjoint(_I_WILL):
        return True
    if said.has({"let"}, {"me", "us"}) or said.tokens[0] == "let's":
        return True
    if said.tokens[0] in _CONSULT and said.has({"image", "picture", "photo", "caption", "text"}):
        return not said.seen
    if said.has(YOU, _ASKED) and not said.has(_VIEWS):
        return True
    lead = said.lead()
    if lead is not None and lead.has(_HEADS):
        return True
    if lead is not None and lead.tokens and said.seen and not lead.has(_COUNTS):
        return _speaks(lead)
    speaks = said.has(_ABOUT) or (said.has(ME | YOU) and not said.has(_VIEWS))
    return speaks and not said.seen and not said.has(LETTERS)
