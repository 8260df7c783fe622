"""What is put to a model and what it answers: Request -> Completion -> Attempt, and claims that a judge is asked."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

MAX_TEXT_BYTES = 64 * 2**10  # of an answer: a long caption has a few thousand
MAX_NAME_BYTES = 64  # of a finish reason
MAX_INT32 = 2**31 - 1

Role = Literal["mllm", "llm"]


@dataclass(frozen=True, slots=True)
class Request:
    """One question to a model.

    Attributes:
        parts: the text before and after the image; a text-only request has one part.
        sampling: keyword arguments of the engine's sampling parameters, without the seed.
        system: the system prompt; empty for no system prompt.
        answers: words whose probabilities are requested instead of a text.
        schema: the JSON schema that the answer must follow, for engines that can hold it to one; None for any text.
        text_number: which of several texts of the image it belongs to, from 0.
    """

    sample_id: str
    step: int
    attempt: int
    role: Role
    parts: tuple[str, ...]
    seed: int
    sampling: Mapping[str, Any]
    system: str = ""
    answers: tuple[str, ...] = ()
    schema: Mapping[str, Any] | None = None
    text_number: int = 0

    @property
    def request_id(self) -> str:
        """Unique among the requests of one build."""
        of_text = f":{self.text_number}" if self.text_number else ""
        return f"{self.sample_id}:{self.step}:{self.attempt}{of_text}"


@dataclass(frozen=True, slots=True)
class Completion:
    """What a model answered; token counts are the model's own.

    Attributes:
        finish_reason: "stop", "length", or "thinking" if the model's thought did not end.
        thought: whether a thought was removed from the text.
    """

    text: str
    finish_reason: str
    num_prompt_tokens: int = 0
    num_tokens: int = 0
    thought: bool = False


@dataclass(frozen=True, slots=True)
class AnswerScores:
    """The probability of each of a request's `answers` as the model's next words.

    Attributes:
        log_probs: natural logarithms, in the order of the answers; None if the engine does not give it.
        tokens: the tokens by which each answer was recognised; None if by text.
        is_bound: whether one of them is only an upper bound.
        num_cached_tokens: prompt tokens already computed for another request; None if unknown.
    """

    log_probs: tuple[float | None, ...]
    tokens: tuple[tuple[int, ...], ...] | None = None
    is_bound: bool = False
    num_prompt_tokens: int = 0
    num_cached_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class JudgedClaim:
    """A statement of an answer, and the judge's probability that it is true of the image (None: not answered)."""

    words: str
    p: float | None


@dataclass(frozen=True, slots=True)
class Attempt:
    """A request and its answer, as stored in the journal: enough to resume without asking again.

    Attributes:
        problem: the rejection reason if the request could not be answered; `text` then holds the error.
        claims: the judged statements of the answer; None if it was not judged.
        text_number: which of several texts of the image it belongs to, from 0.
    """

    sample_id: str
    step: int
    attempt: int
    seed: int
    text: str
    finish_reason: str
    num_prompt_tokens: int = 0
    num_tokens: int = 0
    problem: str = ""
    claims: tuple[JudgedClaim, ...] | None = None
    text_number: int = 0

    @classmethod
    def answered(cls, request: Request, completion: Completion) -> Attempt:
        """The attempt for a request and its answer."""
        return cls(
            sample_id=request.sample_id,
            step=request.step,
            attempt=request.attempt,
            seed=request.seed,
            text=_bounded(completion.text, MAX_TEXT_BYTES),
            finish_reason="length" if _is_long(completion.text) else _bounded(completion.finish_reason, MAX_NAME_BYTES),
            num_prompt_tokens=_count(completion.num_prompt_tokens),
            num_tokens=_count(completion.num_tokens),
            text_number=request.text_number,
        )

    @classmethod
    def failed(cls, request: Request, problem: str, detail: str) -> Attempt:
        """The attempt for a request that could not be sent or answered."""
        text = _bounded(detail, MAX_TEXT_BYTES)
        key = (request.sample_id, request.step, request.attempt, request.seed)
        return cls(*key, text, "", problem=problem, text_number=request.text_number)

    def __post_init__(self) -> None:
        """Refuse values that no column can hold; attempts read from files are checked too.

        Raises:
            TypeError, ValueError: a field is of another type, or a number is too large.
        """
        for claim in self.claims or ():
            if type(claim.words) is not str or type(claim.p) not in {float, type(None)}:
                raise TypeError("a claim is a text and a probability")
        texts = (self.sample_id, self.text, self.finish_reason, self.problem)
        numbers = (self.step, self.attempt, self.num_prompt_tokens, self.num_tokens, self.text_number)
        if any(type(text) is not str for text in texts) or any(type(n) is not int for n in (*numbers, self.seed)):
            raise TypeError("an answer's fields are texts and whole numbers")
        if any(not 0 <= number <= MAX_INT32 for number in numbers) or not 0 <= self.seed <= MAX_INT32:
            raise ValueError("a number of an answer is negative or too large")


def _bounded(text: str, max_bytes: int) -> str:
    """The text cut at a bound; half a surrogate pair, which UTF-8 cannot encode, becomes "?"."""
    return text[:max_bytes].encode("utf-8", "replace")[:max_bytes].decode("utf-8", "ignore")


def _is_long(text: str) -> bool:
    return len(text) > MAX_TEXT_BYTES or len(text.encode("utf-8", "replace")) > MAX_TEXT_BYTES


def _count(number: int) -> int:
    """A token count, limited to what its column can hold."""
    return min(max(int(number), 0), MAX_INT32)


@dataclass(frozen=True, slots=True)
class Verification:
    """An answer whose statements a judge must check, one by one."""

    sample_id: str
    attempt: Attempt
    statements: tuple[str, ...]
