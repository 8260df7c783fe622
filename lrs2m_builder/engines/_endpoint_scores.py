"""The probabilities of a few answers in an endpoint's reply.

A vLLM server reports those of the tokens that are named in the request. Any other one reports at most the 20 likeliest
tokens: an answer that is not among them can only be bounded, by the probability of the last of these.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lrs2m_builder.engines._answer_tokens import answer_tokens, as_part, log_sum
from lrs2m_builder.engines._endpoint_answers import read_choice, to_count
from lrs2m_builder.engines._endpoint_wire import Endpoint, Reply
from lrs2m_builder.errors import SampleError
from lrs2m_builder.exchange import AnswerScores

MAX_TOP = 20
_BY_NUMBER = "token_id:"

Sides = tuple[tuple[int, ...], ...]


class LogProbsMissingError(Exception):
    """The reply lacks the probability of a token that the request named."""


def score_fields(sides: Sides | None) -> dict[str, Any]:
    """What a request asks for beside its messages.

    Args:
        sides: the tokens of each answer, for a server that reports those of any token.
    """
    fields: dict[str, Any] = {"max_tokens": 1, "temperature": 0, "logprobs": True}
    if sides is None:
        return fields | {"top_logprobs": MAX_TOP}
    named = sorted({token for side in sides for token in side})
    return fields | {"logprob_token_ids": named, "return_tokens_as_token_ids": True}


def read_scores(reply: Reply, endpoint: Endpoint, answers: Sequence[str], sides: Sides | None) -> AnswerScores:
    """The probabilities in a reply.

    Raises:
        LogProbsMissingError: it lacks one of the tokens that were asked for.
        SampleError: no_answer_token, it has no probabilities; or what `read_choice` raises.
    """
    choice, _, usage = read_choice(reply, endpoint)
    found = _first_position(choice)
    if not found:
        raise SampleError("no_answer_token", "the endpoint reports no log-probabilities of its answers")
    is_bound = False
    if sides is not None:
        by_number = {text.removeprefix(_BY_NUMBER): value for text, value in found if text.startswith(_BY_NUMBER)}
        if missing := [token for side in sides for token in side if str(token) not in by_number]:
            raise LogProbsMissingError(f"token {missing[0]}")
        log_probs = [log_sum(by_number[str(token)] for token in side) for side in sides]
    else:
        log_probs = [_of_text(found, answer) for answer in answers]
        is_bound = None in log_probs and any(value is not None for value in log_probs)
        if is_bound:
            least = min(value for _, value in found)
            log_probs = [least if value is None else value for value in log_probs]
    details = usage.get("prompt_tokens_details")
    cached = details.get("cached_tokens") if isinstance(details, Mapping) else None
    num_prompt_tokens, num_cached = to_count(usage.get("prompt_tokens")), None if cached is None else to_count(cached)
    return AnswerScores(tuple(log_probs), sides, is_bound, num_prompt_tokens, num_cached)


def _first_position(choice: Mapping[str, Any]) -> list[tuple[str, float]]:
    """The tokens at the first position of the answer with the logarithms of their probabilities."""
    log_probs = choice.get("logprobs")
    content = log_probs.get("content") if isinstance(log_probs, Mapping) else None
    first = content[0] if isinstance(content, list) and content else None
    if not isinstance(first, Mapping):
        return []
    top = first.get("top_logprobs")
    found = {}
    for entry in (*(top if isinstance(top, list) else ()), first):
        token, value = (entry.get("token"), entry.get("logprob")) if isinstance(entry, Mapping) else (None, None)
        if isinstance(token, str) and isinstance(value, int | float) and math.isfinite(value):
            found[token] = float(value)
    return list(found.items())


def _of_text(found: Sequence[tuple[str, float]], answer: str) -> float | None:
    """The logarithm of the probability of all tokens that begin an answer; one letter counts if nothing longer does."""
    parts = [(as_part(text, answer), value) for text, value in found]
    longer = [value for part, value in parts if len(part) > 1]
    return log_sum(longer or [value for part, value in parts if part])


def sides_of(answers: Sequence[str], tokenized: Mapping[str, tuple[Sequence[int], Sequence[str]]]) -> Sides:
    """The tokens of each answer, from what a server's tokenizer makes of the spellings."""
    ids = {text: tokens for text, (tokens, _) in tokenized.items()}
    texts = {token: text for tokens, pieces in tokenized.values() for token, text in zip(tokens, pieces, strict=True)}
    return answer_tokens(answers, ids, texts)
