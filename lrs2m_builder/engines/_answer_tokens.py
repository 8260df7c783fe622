"""With which tokens a model begins each of a few answers: "yes", "Yes" and " yes" are three tokens of most models."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

from lrs2m_builder.errors import UserError

BREAK = "\n"  # behind it some tokenizers begin a word as they do at the start of an answer, and nowhere else
_SPACES = " ▁ĠĊ\n\t"  # as the pieces of different tokenizers write them


def spellings(answers: Iterable[str]) -> list[str]:
    """The texts whose tokens must be known to choose those of the answers."""
    return [BREAK, *(text for answer in answers for text in _spelt(answer))]


def _spelt(answer: str) -> list[str]:
    words = dict.fromkeys((answer, answer.capitalize(), answer.upper()))
    return [f"{before}{word}" for word in words for before in ("", " ", BREAK)]


def answer_tokens(
    answers: Sequence[str], ids: Mapping[str, Sequence[int]], texts: Mapping[int, str]
) -> tuple[tuple[int, ...], ...]:
    """The tokens with which a model begins each answer.

    Whole words or at least two letters of them; a single letter, which begins many words, only if the tokenizer cuts
    the answer so in every spelling.

    Args:
        ids: the tokens of each of the `spellings`.
        texts: what each token is as text.

    Raises:
        UserError: two answers begin with the same token.
    """
    found = [{first for text in _spelt(answer) if (first := _first(text, ids)) is not None} for answer in answers]
    chosen = []
    for number, answer in enumerate(answers):
        others = set().union(*(tokens for other, tokens in enumerate(found) if other != number))
        parts = {token: part for token in found[number] - others if (part := as_part(texts[token], answer))}
        longest = {token for token, part in parts.items() if len(part) > 1} or parts.keys()
        if not longest:
            raise UserError(
                f"this model's tokenizer begins {answer!r} with the same token as "
                f"{' and '.join(repr(other) for other in answers if other != answer)}, so that their probabilities "
                "cannot be separated; use another model"
            )
        chosen.append(tuple(sorted(longest)))
    return tuple(chosen)


def _first(text: str, ids: Mapping[str, Sequence[int]]) -> int | None:
    """The first token of a spelling, behind the line break if it has one."""
    tokens, line_break = list(ids[text]), list(ids[BREAK]) if text.startswith(BREAK) else []
    if tokens[: len(line_break)] != line_break:
        return None
    return next(iter(tokens[len(line_break) :]), None)


def as_part(token: str, answer: str) -> str:
    """The letters of an answer that a token holds, in lower case; "" if it holds something else."""
    part = token.strip(_SPACES).casefold()
    return part if answer.casefold().startswith(part) else ""


def log_sum(values: Iterable[float]) -> float | None:
    """The logarithm of a sum of probabilities given by their logarithms; None if one is no number."""
    values = list(values)
    if not values or any(math.isnan(value) for value in values):
        return None
    top = max(values)
    return top if math.isinf(top) else top + math.log(sum(math.exp(value - top) for value in values))
