"""The claims of a text, written by a model as a JSON list, each traced back to the sentence that holds it.

A statement whose words no sentence of the text has, with those before it, is invented and dropped. A sentence without a
statement is a claim itself, so that no part of the text goes unjudged.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from lrs2m_builder.checks.reading.english import word_set
from lrs2m_builder.checks.reading.nouns import read
from lrs2m_builder.checks.reading.number_words import spoken
from lrs2m_builder.checks.reading.tokens import PUNCTUATION, tokenize
from lrs2m_builder.checks.reading.vocabulary import singular_of
from lrs2m_builder.declared.prompt import Prompt, load_prompt
from lrs2m_builder.engines._base import ENDPOINT_FAILED, Engine, EngineModule
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.exchange import Request
from lrs2m_builder.verify.claims import KINDS, NEUTRAL, Claim, as_sentence, claims_of, sentence_spans

PROMPT = "claims.v1"
VERSION = 1  # of how a list is read
MAX_TOKENS = 1024  # of a list
_SAMPLINGS: tuple[Mapping[str, Any], ...] = (
    {"temperature": 0.0, "max_tokens": MAX_TOKENS},
    {"temperature": 0.7, "max_tokens": MAX_TOKENS},  # another try at a list that cannot be read
)
_STEP = 2**16 + 1  # in the ids of requests; a judge has 2**16
_FREE = NEUTRAL | word_set("in on at to by from for into onto within up does do")
_NO = word_set("no not without none never neither nor isn't aren't absent lacking lacks lack")
_STATEMENT = {
    "type": "object",
    "properties": {"sentence": {"type": "integer"}, "statement": {"type": "string"}},
    "required": ["sentence", "statement"],
    "additionalProperties": False,
}
SCHEMA: Mapping[str, Any] = {
    "type": "object",
    "properties": {"claims": {"type": "array", "items": _STATEMENT}},
    "required": ["claims"],
    "additionalProperties": False,
}


@dataclass(frozen=True, slots=True)
class WrittenClaims:
    """The claims of a text.

    Attributes:
        num_invented: statements that were dropped, as no sentence holds them.
        is_by_rules: whether the model wrote no list that can be read, so that the rules made the claims.
    """

    claims: tuple[Claim, ...]
    num_invented: int = 0
    is_by_rules: bool = False


class ClaimWriter:
    """Has an engine write the claims of texts.

    Attributes:
        num_texts, num_by_rules: texts that were read, and those whose claims the rules made in the end.
        num_invented: statements that were dropped.
    """

    def __init__(self, engine: Engine, prompt: Prompt | None = None) -> None:
        """Prepare to ask."""
        self._engine, self._prompt = engine, prompt or load_prompt(PROMPT)
        self._numbers = count()
        self.num_texts = self.num_by_rules = self.num_invented = 0

    async def write(self, sample_id: str, text: str) -> tuple[Claim, ...]:
        """The claims of a text.

        Raises:
            SampleError: endpoint_failed, another run may ask again.
            UserError: the engine stopped.
        """
        if not list(sentence_spans(text)):
            return ()
        written = await self._written(sample_id, text)
        self.num_texts += 1
        self.num_by_rules += written.is_by_rules
        self.num_invented += written.num_invented
        return written.claims

    async def _written(self, sample_id: str, text: str) -> WrittenClaims:
        sentences = [as_sentence(text[start:end]) for start, end in sentence_spans(text)]
        parts = self._prompt.render({"sentences": sentences})
        for sampling in _SAMPLINGS:
            number = next(self._numbers)
            request = Request(sample_id, _STEP, number, "llm", parts, number, sampling, schema=SCHEMA)
            try:
                answer = await self._engine.generate(request, None)
            except SampleError as error:
                if error.reason == ENDPOINT_FAILED:
                    raise
                break  # what this model cannot be asked, the rules can read
            if (statements := parse_list(answer.text)) is not None:
                return traced(text, statements)
        return WrittenClaims(claims_of(text), is_by_rules=True)


def parse_list(answer: str) -> list[tuple[int, str]] | None:
    """The numbers of sentences and the statements of an answer; None if it is no such list."""
    try:
        listed = json.loads(answer)["claims"]
        return [(int(one["sentence"]), " ".join(str(one["statement"]).split())) for one in listed]
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError):
        return None


def traced(text: str, statements: Iterable[tuple[int, str]]) -> WrittenClaims:
    """The claims of a text by the statements that a model made of it; what no sentence holds is dropped and counted.

    Args:
        statements: each with the number of its sentence, counted from 1.
    """
    spans = list(sentence_spans(text))
    sentences = [text[start:end] for start, end in spans]
    claims: dict[str, Claim] = {}
    num_invented = 0
    for number, statement in statements:
        if not statement:
            continue
        words = as_sentence(statement)
        named = [number - 1] if 0 < number <= len(spans) else []
        holder = next((at for at in (*named, *range(len(spans))) if holds(sentences[: at + 1], words)), None)
        if holder is None:
            num_invented += 1
        else:
            claims.setdefault(words.lower(), _claim(words, spans[holder], holder))
    said = {claim.sentence for claim in claims.values()}
    for number, (start, end) in enumerate(spans):
        if number not in said:
            words = as_sentence(sentences[number])
            claims.setdefault(words.lower(), Claim("sentence", words, start, end, number))
    return WrittenClaims(tuple(sorted(claims.values(), key=lambda claim: claim.sentence)), num_invented)


def holds(sentences: Sequence[str], statement: str) -> bool:
    """Whether the last of these sentences says a statement, by its words: "it" may stand for what one before it named.

    Every word that could be wrong must be there, one of them in the last sentence; what is denied here must be denied
    there, and the other way round.
    """
    wanted, last = _content(statement), _content(sentences[-1])
    before: set[str] = set().union(*map(_content, sentences[:-1]))
    if not wanted or not wanted & last or wanted - last - before:
        return False
    if "no" not in wanted | last:
        return True
    there = {
        (name, mention.denied) for each in sentences for mention in read(each).mentions for name in mention.classes
    }
    return all(any((name, mention.denied) in there for name in mention.classes) for mention in read(statement).mentions)


def _content(text: str) -> set[str]:
    """The words of a text that could be wrong, in one form each."""
    found: set[str] = set()
    for token in tokenize(text)[0]:
        plain = token.replace(",", "")
        if token in _NO or token.endswith("n't"):
            found.add("no")
        elif plain.isdigit() and len(plain) < 6:
            found |= set(spoken(int(plain)).split())
        elif token not in _FREE and token not in PUNCTUATION:
            found.add(_stem(token))
    return found


def _stem(word: str) -> str:
    """A word without its ending: "parked" and "parking" are one, "planes" and "plane" too."""
    word = singular_of(word)
    for ending in ("ing", "ed"):
        if len(word) > len(ending) + 3 and word.endswith(ending):
            return word.removesuffix(ending)
    return word


def _claim(words: str, span: tuple[int, int], sentence: int) -> Claim:
    """A statement with the kind that the rules read in it: the one that says most, or "sentence" if it says more."""
    made = max(claims_of(words), key=lambda claim: KINDS.index(claim.kind), default=None)
    if made is None or made.kind == "sentence":
        return Claim("sentence", words, *span, sentence)
    return Claim(made.kind, words, *span, sentence, made.name, made.number, made.place)


def check_writer(engine: str, module: EngineModule) -> None:
    """Raises:
    UserError: the engine cannot hold an answer to a JSON schema.
    """
    if not module.FOLLOWS_SCHEMAS:
        raise UserError(
            f"--claims model: the engine {engine} cannot hold an answer to a JSON schema; take --engine vllm or "
            "openai, or --claims rules"
        )


def writer_settings(prompt: Prompt) -> dict[str, Any]:
    """What decides the claims beside the model and its engine."""
    return {"claims": f"model.v{VERSION}", "claims_prompt": {"name": prompt.name, "sha256": prompt.sha256}}
