"""What becomes of an answer once a judge has seen its claims: kept, cut, or refused with a reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from lrs2m_builder.exchange import JudgedClaim
from lrs2m_builder.schema import CaptionColumn, FalseClaim, RowClaim, UncutText
from lrs2m_builder.verify.claims import Claim, claims_of, sentence_spans
from lrs2m_builder.verify.cutting import without_item, without_number
from lrs2m_builder.verify.verdicts import DEFAULT_THRESHOLD

VerifyMode = Literal["warn", "ask", "cut"]
VERIFY_MODES: tuple[VerifyMode, ...] = get_args(VerifyMode)
FALSE_CLAIM = "false_claim"  # the reason of a rejection, and the name of a warning
MAX_NAMED = 3  # false claims that a model is told of at once


@dataclass(frozen=True, slots=True)
class VerifySettings:
    """How a build holds its texts against the images.

    Attributes:
        mode: what a false claim leads to: a warning; another attempt ("ask", and a cut at the last one); the removal
            of its words ("cut", and another attempt where the rest does not pass the checks).
        thresholds: by kind of claim, the probability below which a claim is false.
        judge: name and revision of the model that is asked.
    """

    mode: VerifyMode
    thresholds: Mapping[str, float]
    judge: tuple[str, str]


def is_judged(claims: Sequence[Claim], judged: Sequence[JudgedClaim] | None) -> bool:
    """Whether a judge was asked just these claims."""
    return judged is not None and [claim.words for claim in claims] == [claim.words for claim in judged]


def false_claims(
    claims: Sequence[Claim], judged: Sequence[JudgedClaim], thresholds: Mapping[str, float]
) -> list[Claim]:
    """The claims below the threshold of their kind; one that was not answered is not among them."""
    p_of = _probabilities(judged)
    return [claim for claim in claims if _is_false(claim, p_of, thresholds)]


def problem_of(false: Sequence[Claim]) -> str:
    """What a model is told of its false claims."""
    words = " ".join(claim.words for claim in false[:MAX_NAMED])
    return f"The image does not show this: {words} Leave it out or correct it."


def without_false(
    text: str, judged: Sequence[JudgedClaim], thresholds: Mapping[str, float]
) -> tuple[str, tuple[str, ...]]:
    """A text without the words of its false claims: the number alone, an item of a list, else the sentence.

    With a sentence go those that lean on it.

    Returns:
        What is left, and what was cut.
    """
    p_of, removed = _probabilities(judged), list[str]()
    while True:  # a claim that two sentences make is read from the first alone
        claims, spans = claims_of(text), list(sentence_spans(text))
        false = [claim for claim in claims if _is_false(claim, p_of, thresholds)]
        if not false:
            return text, tuple(removed)
        smaller = {claim: part for claim in false if (part := _small_part(text, claim, claims, spans))}
        cut = {claim.sentence for claim in false if claim not in smaller}
        for claim in claims:
            if claim.leans and claim.sentence - 1 in cut:
                cut.add(claim.sentence)
        if cut:
            removed += [text[start:end] for number, (start, end) in enumerate(spans) if number in cut]
            text = _without_sentences(text, spans, cut)
        else:
            text, words = smaller[false[0]]
            removed.append(words)


def _small_part(
    text: str, claim: Claim, claims: Sequence[Claim], spans: Sequence[tuple[int, int]]
) -> tuple[str, str] | None:
    """The text without less than the sentence of a false claim, and what goes; None if the sentence has to."""
    if claim.kind == "count":
        return without_number(text, claim)
    if any(other.leans and other.sentence == claim.sentence + 1 for other in claims):
        return None  # "They are white" would speak of something else
    return without_item(text, spans[claim.sentence], claim, claims)


def _without_sentences(text: str, spans: Sequence[tuple[int, int]], cut: set[int]) -> str:
    """The other sentences; of "A; b." each half can stand alone."""
    kept = []
    for number, (start, end) in enumerate(spans):
        if number in cut:
            continue
        words = text[start:end]
        if number - 1 in cut:
            words = words[0].upper() + words[1:]
        if words.endswith(";") and (number + 1 in cut or number + 1 == len(spans)):
            words = f"{words[:-1]}."
        kept.append(words)
    return " ".join(kept)


def _probabilities(judged: Sequence[JudgedClaim]) -> dict[str, float | None]:
    return {claim.words: claim.p for claim in judged}


def _is_false(claim: Claim, p_of: Mapping[str, float | None], thresholds: Mapping[str, float]) -> bool:
    p = p_of.get(claim.words)
    return p is not None and p < thresholds.get(claim.kind, DEFAULT_THRESHOLD)


def uncut_text(column: CaptionColumn, text: str, false: Sequence[Claim], judged: Sequence[JudgedClaim]) -> UncutText:
    """A text before it is cut, with its false claims."""
    p_of = _probabilities(judged)
    return UncutText(
        column, text, tuple(FalseClaim(claim.kind, claim.words, p_of[claim.words] or 0.0) for claim in false)
    )


def row_claims(column: CaptionColumn, text: str, judged: Sequence[JudgedClaim]) -> tuple[RowClaim, ...]:
    """The claims of a finished text with what the judge said of them."""
    p_of = _probabilities(judged)
    return tuple(
        RowClaim(column, claim.kind, claim.words, claim.start, claim.end, p_of.get(claim.words))
        for claim in claims_of(text)
    )
