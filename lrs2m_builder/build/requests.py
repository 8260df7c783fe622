"""The requests of a build: which prompts its steps use, and each request with its variables, seed and temperature."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from lrs2m_builder.build.plan import BuildPlan
from lrs2m_builder.declared.place_words import place_words
from lrs2m_builder.declared.prompt import Prompt
from lrs2m_builder.exchange import Attempt, Request
from lrs2m_builder.schema import CaptionColumn, Sample
from lrs2m_builder.text import normalise_caption

# Increase of the temperature per repeated answer, for models that repeat themselves when asked again.
WARMER, WARMEST = 0.2, 1.0


def make_request(
    plan: BuildPlan,
    sample: Sample,
    number: int,
    captions: Mapping[CaptionColumn, str],
    attempt: int = 1,
    problem: str = "",
    text_number: int = 0,
) -> Request:
    """A request of a step: its prompt with the captions so far and, of a later attempt, the last problem."""
    step = plan.recipe.steps[number]
    return Request(
        sample_id=sample.sample_id,
        step=number,
        attempt=attempt,
        role=step.role,
        parts=plan.recipe.prompt(number, text_number).render(prompt_variables(plan, sample, number, captions, problem)),
        seed=request_seed(plan.seed, sample.sample_id, number, attempt, text_number),
        sampling=step.sampling,
        system=plan.system,
        text_number=text_number,
    )


def retry_request(
    plan: BuildPlan,
    sample: Sample,
    captions: Mapping[CaptionColumn, str],
    attempts: Sequence[Attempt],
    problem: str,
    *,
    repeats_other_text: bool,
) -> Request:
    """The request after the answers of a step, the last of which was refused; warmer per repeated answer.

    Args:
        attempts: the answers of the step for this text, in order.
        problem: why the last one was refused.
        repeats_other_text: whether it was refused because it repeats another text of the image.
    """
    last = attempts[-1]
    request = make_request(plan, sample, last.step, captions, len(attempts) + 1, problem, last.text_number)
    num_repeats = len(attempts) - len({normalise_caption(attempt.text) for attempt in attempts}) + repeats_other_text
    return replace(request, sampling=_warmer(request.sampling, num_repeats))


def _warmer(sampling: Mapping[str, Any], num_repeats: int) -> Mapping[str, Any]:
    """Sampling parameters with a higher temperature for each repeated answer."""
    temperature = sampling.get("temperature")
    if not num_repeats or isinstance(temperature, bool) or not isinstance(temperature, int | float):
        return sampling
    return {**sampling, "temperature": round(max(temperature, min(WARMEST, temperature + WARMER * num_repeats)), 3)}


def request_seed(run_seed: int, sample_id: str, step: int, attempt: int, text_number: int = 0) -> int:
    """A 31-bit seed, the same in every run with the same settings, and different for each attempt and text."""
    parts = (run_seed, sample_id, step, attempt, *([text_number] if text_number else ()))
    digest = hashlib.sha256("\x00".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def prompt_variables(
    plan: BuildPlan, sample: Sample, number: int, captions: Mapping[CaptionColumn, str], problem: str = ""
) -> dict[str, Any]:
    """The variables of a step's prompt: the captions so far, the place, the recipe's own ones, and the last problem."""
    by_name: dict[str, Any] = {str(column): text for column, text in captions.items()}
    own = plan.recipe.steps[number].variables(sample, plan.manifest)
    return {**by_name, **place_words(sample.place), **own, "problem": problem}


def given_captions(sample: Sample) -> dict[CaptionColumn, str]:
    """The texts of the source."""
    return {"caption_short": next(iter(sample.captions), ""), "caption_long": sample.caption_long}


def first_requests(plan: BuildPlan, sample: Sample) -> list[Request]:
    """The first request of every step and prompt for a sample; a placeholder describes the texts of earlier steps.

    Raises:
        UserError: a prompt uses an unknown variable or fails, in a first or a repeated request.
    """
    captions = given_captions(sample)
    requests = []
    for number, step in enumerate(plan.recipe.steps):
        for text_number in _prompted(plan, number):
            make_request(plan, sample, number, captions, 2, "The answer was empty.", text_number)
            requests.append(make_request(plan, sample, number, captions, text_number=text_number))
        captions[step.writes] = f"(the {step.writes} that step {number + 1} writes)"
    return requests


def used_prompts(plan: BuildPlan) -> list[Prompt]:
    """The prompts of all steps and texts."""
    return [prompt for step in range(len(plan.recipe.steps)) for prompt in step_prompts(plan, step)]


def step_prompts(plan: BuildPlan, step: int) -> list[Prompt]:
    """The prompts of a step that the texts of an image use."""
    return [plan.recipe.prompt(step, number) for number in _prompted(plan, step)]


def _prompted(plan: BuildPlan, step: int) -> range:
    """The numbers of the first texts that together use every prompt of a step."""
    if step >= plan.recipe.num_long_steps or not plan.recipe.other_prompts:
        return range(1)
    return range(min(plan.texts, len(plan.recipe.other_prompts[step]) + 1))
