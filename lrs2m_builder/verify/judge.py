"""A model that sees the image and says how probable it is that a statement is true."""

from __future__ import annotations

import asyncio
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Any

from PIL import Image

from lrs2m_builder.declared.prompt import Prompt, load_prompt
from lrs2m_builder.engines._base import Engine
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.exchange import AnswerScores, Request
from lrs2m_builder.verify.claims import VERSION

PROMPT = "verify.v1"
YES_NO = ("yes", "no")
NUM_TRIED = 8  # claims by which it is seen whether a model answers with yes or no
MIN_MASS = 0.5  # of the probability, on average over these, that must lie on yes and no
CPU_BLOCK_SIZE = 32  # tokens of the prompt that claims share or do not, the least that vLLM takes there
_STEP = 2**16  # in the ids of requests: no recipe has so many steps, so that captions and claims never share an id


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a judge says of a statement.

    Attributes:
        p_yes, p_no: the probability that the model's answer begins so, as the model gives it; None without an answer.
        is_bound: whether one of them is only known to be no larger.
        reason, detail: why there is no answer, in snake_case and in words.
        num_cached_tokens: of the prompt, those that another claim had computed; None if the engine does not report it.
    """

    p_yes: float | None = None
    p_no: float | None = None
    is_bound: bool = False
    reason: str = ""
    detail: str = ""
    num_prompt_tokens: int = 0
    num_cached_tokens: int | None = None

    @property
    def mass(self) -> float | None:
        """How much of the probability is on yes and no: a small one says that the model answers something else."""
        return None if self.p_yes is None or self.p_no is None else self.p_yes + self.p_no

    @property
    def score(self) -> float | None:
        """The probability of yes among yes and no."""
        return self.p_yes / self.mass if self.p_yes is not None and self.mass else None


def verdict_of(scores: AnswerScores) -> Verdict:
    """The verdict in the probabilities of yes and no."""
    yes, no = scores.log_probs
    counts = scores.num_prompt_tokens, scores.num_cached_tokens
    if yes is None or no is None or math.exp(yes) + math.exp(no) == 0:
        return Verdict(None, None, False, "no_answer_token", "neither yes nor no is among its answers", *counts)
    return Verdict(math.exp(yes), math.exp(no), scores.is_bound, "", "", *counts)


class Judge:
    """Asks an engine statements about images; one for all that one engine is asked.

    Attributes:
        tokens: by which the engine recognises yes and no; None before the first answer, or if by their texts.
        num_asked, num_prompt_tokens, num_cached_tokens: of all answers.
    """

    def __init__(
        self,
        engine: Engine,
        prompt: Prompt | None = None,
        system: str = "",
        window: asyncio.Semaphore | None = None,
    ) -> None:
        """Prepare to ask.

        Args:
            prompt: what is asked; it marks where the image and the `claim` stand.
            window: bounds the requests in flight, where others ask the engine too.
        """
        self.engine, self._prompt, self._system = engine, prompt or load_prompt(PROMPT), system
        self._window = window or asyncio.Semaphore(engine.max_in_flight)
        self._numbers = count()
        self._tried: list[Verdict] = []
        self.tokens: tuple[tuple[int, ...], ...] | None = None
        self.num_asked = self.num_prompt_tokens = 0
        self.num_cached_tokens: int | None = None

    async def ask(self, sample_id: str, image: Image.Image, statements: Sequence[str]) -> list[Verdict]:
        """The verdicts on statements about one image, in their order.

        The first goes ahead: the others find what it computed of the image.

        Raises:
            UserError: the model or the endpoint cannot judge at all, or the engine stopped.
        """
        first = [await self._ask(sample_id, image, statement) for statement in statements[:1]]
        rest = (self._ask(sample_id, image, statement) for statement in statements[1:])
        return [*first, *await asyncio.gather(*rest)]

    async def _ask(self, sample_id: str, image: Image.Image, statement: str) -> Verdict:
        parts = self._prompt.render({"claim": statement})
        number = next(self._numbers)
        request = Request(sample_id, _STEP, number, "mllm", parts, 0, {}, self._system, YES_NO)
        try:
            async with self._window:
                scores = await self.engine.score(request, image)
        except SampleError as error:
            return Verdict(reason=error.reason, detail=error.detail)
        self.tokens = scores.tokens
        self.num_asked += 1
        self.num_prompt_tokens += scores.num_prompt_tokens
        if scores.num_cached_tokens is not None:
            self.num_cached_tokens = (self.num_cached_tokens or 0) + scores.num_cached_tokens
        return verdict_of(scores)

    def prove(self, verdicts: Sequence[Verdict]) -> None:
        """Look at the first verdicts, as they come in: whether the model judges at all.

        Raises:
            UserError: it does not answer with yes or no.
        """
        if len(self._tried) < NUM_TRIED:
            self._tried += verdicts
            if len(self._tried) >= NUM_TRIED:
                check_tried(self._tried, self.engine.model)

    @property
    def cached_share(self) -> float | None:
        """The share of the prompts' tokens that were computed before for another claim; None if not reported."""
        return None if self.num_cached_tokens is None else self.num_cached_tokens / max(1, self.num_prompt_tokens)


def trial_request(prompt: Prompt | None = None, system: str = "") -> Request:
    """A request as a judge gets it, to try a model's chat template with."""
    parts = (prompt or load_prompt(PROMPT)).render({"claim": "There is a road in the image."})
    return Request("", _STEP, 0, "mllm", parts, 0, {}, system, YES_NO)


def check_tried(verdicts: Sequence[Verdict], model: str) -> None:
    """Look at the first verdicts of a judge, before it is asked more.

    Raises:
        UserError: it does not answer with yes or no.
    """
    masses = [verdict.mass for verdict in verdicts if verdict.mass is not None]
    if not masses:
        reason, detail = Counter((verdict.reason, verdict.detail) for verdict in verdicts).most_common(1)[0][0]
        raise UserError(
            f"--model {model}: none of the first {len(verdicts)} claims was answered with a probability of yes or no "
            f"({reason}: {detail}); take another model or engine"
        )
    if sum(masses) / len(masses) < MIN_MASS:
        raise UserError(
            f"--model {model}: only {sum(masses) / len(masses):.0%} of its answers to the first {len(verdicts)} claims "
            "is yes or no. It may think before it answers: give --engine-option "
            "'chat_template_kwargs={enable_thinking: false}', or take another model"
        )


def check_engine_options(engine: str, options: Mapping[str, Any]) -> None:
    """Raises:
    UserError: an option that would change the probabilities, or an engine that cannot judge.
    """
    if engine == "openai-batch":
        raise UserError(
            "--engine openai-batch: cannot judge, a batch would be needed for each claim; build without --verify, then "
            "hold the finished texts against the images by lrs2m verify with another engine"
        )
    if engine == "vllm" and options.get("logprobs_mode") not in {None, "raw_logprobs"}:
        raise UserError(
            f"--engine-option logprobs_mode={options['logprobs_mode']}: a judge needs the probabilities as the model "
            "gives them; leave it out"
        )


def judge_options(engine: str, options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an engine that judges: on a CPU vLLM would share blocks of 128 tokens, of a small image none."""
    return {"cpu_block_size": CPU_BLOCK_SIZE, **options} if engine == "vllm" else dict(options)


def judge_settings(prompt: Prompt, system: str = "") -> dict[str, Any]:
    """What decides the verdicts beside the model and its engine; the claims are those of the rules."""
    settings: dict[str, Any] = {"prompt": {"name": prompt.name, "sha256": prompt.sha256}, "answers": list(YES_NO)}
    return settings | {"claims": f"rules.v{VERSION}"} | ({"system": system} if system else {})
