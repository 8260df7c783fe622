"""The pure heart of a build: from a sample and the answers it has so far to its next move.

`next_move` replays the attempts of a sample through the checks. A live build and one resumed from its journal call
the same function, so an answer that was journaled is never asked for again and counts exactly as it did.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrs2m_builder.build.plan import BuildPlan
from lrs2m_builder.checks import Answer, Check, split_words
from lrs2m_builder.schema import Attempt, CaptionColumn, Record, Rejection, Request, Sample
from lrs2m_builder.text import normalise_caption, without_wrapping
from lrs2m_builder.tokenizer import count_tokens

# A model that is asked again and says the same is asked at a higher temperature, by so much a repeated answer.
WARMER, WARMEST = 0.2, 1.0


@dataclass(frozen=True, slots=True)
class _Verdict:
    """An attempt as the checks see it: the error that refuses it, if any, and the warnings it carries."""

    text: str
    error: Check | None
    detail: str
    warnings: tuple[str, ...]


def next_move(
    plan: BuildPlan, sample: Sample, attempts: Sequence[Attempt], spent: int = 0
) -> Request | Record | Rejection:
    """What comes next for a sample: a request to be answered, or its end as a record or a rejection.

    Args:
        attempts: all answers so far, in the order they were asked for.
        spent: how many of them belong to rounds that ended in a rejection and are being retried.
    """
    if (problem := unusable(plan, sample)) is not None:
        return Rejection(sample.sample_id, *problem, _answers(attempts))

    captions: dict[CaptionColumn, str] = {"caption_short": next(iter(sample.captions), "")}
    captions["caption_long"] = sample.caption_long
    accepted: list[Attempt] = []
    warnings: list[str] = []
    for column, checks in plan.recipe.given_checks.items():
        verdict = _judge(checks, _answer(plan, sample, captions[column]))
        if verdict.error is not None:
            return Rejection(sample.sample_id, verdict.error.name, f"{column}: {verdict.detail}", _answers(attempts))
        warnings.extend(verdict.warnings)
    for number, step in enumerate(plan.recipe.steps):
        mine = [attempt for attempt in attempts if attempt.step == number]
        if not mine:
            return _request(plan, sample, number, captions, 1, "")
        if mine[-1].problem:
            return Rejection(sample.sample_id, mine[-1].problem, mine[-1].text, _answers(attempts))
        source = "" if step.role == "mllm" else captions["caption_long"]
        verdict = _judge(
            step.checks, _answer(plan, sample, without_wrapping(mine[-1].text), mine[-1].finish_reason, source)
        )
        if verdict.error is not None:
            asked = sum(attempt.step == number for attempt in attempts[spent:])
            if asked >= plan.max_attempts:
                return Rejection(sample.sample_id, verdict.error.name, verdict.detail, _answers(attempts))
            request = _request(plan, sample, number, captions, len(mine) + 1, verdict.detail)
            return replace(request, sampling=_warmer(request.sampling, _num_repeats(mine)))
        captions[step.writes] = verdict.text
        warnings.extend(verdict.warnings)
        accepted.append(mine[-1])
    return _record(plan, sample, captions, accepted, _answers(attempts), warnings)


def end_without_model(plan: BuildPlan, sample: Sample) -> Record | Rejection:
    """The end of a sample in a recipe that asks no model."""
    move = next_move(plan, sample, ())
    assert not isinstance(move, Request), "the recipe asks no model"
    return move


def first_requests(plan: BuildPlan, sample: Sample) -> list[Request]:
    """The request of every step for a sample, as asked first; what earlier steps write is described.

    Raises:
        UserError: a prompt uses what it is not given, or fails, asked first or asked again.
    """
    captions: dict[CaptionColumn, str] = {"caption_short": next(iter(sample.captions), "")}
    captions["caption_long"] = sample.caption_long
    requests = []
    for number, step in enumerate(plan.recipe.steps):
        _request(plan, sample, number, captions, 2, "The answer was empty.")
        requests.append(_request(plan, sample, number, captions, 1, ""))
        captions[step.writes] = f"(the {step.writes} that step {number + 1} writes)"
    return requests


def unusable(plan: BuildPlan, sample: Sample) -> tuple[str, str] | None:
    """Reason and detail why a sample cannot be asked about at all; None where it can."""
    if sample.problem is not None:
        return sample.problem
    missing = next((need for need in plan.recipe.reads if not getattr(sample, need)), None)
    if missing == "anchors" and sample.no_anchors:
        return sample.no_anchors
    return (f"no_{missing}", f"recipe {plan.recipe.name} reads {missing}") if missing else None


def prompt_variables(
    plan: BuildPlan, sample: Sample, number: int, captions: Mapping[CaptionColumn, str], problem: str = ""
) -> dict[str, Any]:
    """What the prompt of a step sees: the captions so far, the recipe's own variables, and what was wrong before."""
    given: dict[str, Any] = {str(column): text for column, text in captions.items()}
    return {**given, **plan.recipe.steps[number].variables(sample, plan.manifest), "problem": problem}


def request_seed(run_seed: int, sample_id: str, step: int, attempt: int) -> int:
    """A seed of 31 bits that is the same in every run with the same settings, and another for each attempt."""
    digest = hashlib.sha256(f"{run_seed}\x00{sample_id}\x00{step}\x00{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _num_repeats(attempts: Sequence[Attempt]) -> int:
    """How many of the answers say what an earlier one said."""
    return len(attempts) - len({normalise_caption(attempt.text) for attempt in attempts})


def _warmer(sampling: Mapping[str, Any], num_repeats: int) -> Mapping[str, Any]:
    """Sampling parameters that make the same answer less likely the more often it has come back."""
    temperature = sampling.get("temperature")
    if not num_repeats or isinstance(temperature, bool) or not isinstance(temperature, int | float):
        return sampling
    return {**sampling, "temperature": round(max(temperature, min(WARMEST, temperature + WARMER * num_repeats)), 3)}


def _answers(attempts: Sequence[Attempt]) -> tuple[Attempt, ...]:
    return tuple(attempt for attempt in attempts if not attempt.problem)


def _answer(plan: BuildPlan, sample: Sample, raw: str, finish_reason: str = "stop", source: str = "") -> Answer:
    """A text as the checks see it."""
    text = normalise_caption(raw)
    return Answer(
        text=text,
        raw=raw,
        words=split_words(text),
        finish_reason=finish_reason,
        num_tokens=count_tokens(text),
        sample=sample,
        source=source,
        viewpoint=plan.manifest.viewpoint,
    )


def _judge(checks: Sequence[Check], answer: Answer) -> _Verdict:
    warnings = []
    for check in checks:
        detail = check.find(answer)
        if detail is not None and check.level == "error":
            return _Verdict(answer.text, check, detail, ())
        if detail is not None:
            warnings.append(f"{check.name}: {detail}")
    return _Verdict(answer.text, None, "", tuple(warnings))


def _request(
    plan: BuildPlan, sample: Sample, number: int, captions: dict[CaptionColumn, str], attempt: int, problem: str
) -> Request:
    step = plan.recipe.steps[number]
    return Request(
        sample_id=sample.sample_id,
        step=number,
        attempt=attempt,
        role=step.role,
        parts=plan.recipe.prompts[number].render(prompt_variables(plan, sample, number, captions, problem)),
        seed=request_seed(plan.seed, sample.sample_id, number, attempt),
        sampling=step.sampling,
        system=plan.system,
    )


def _record(
    plan: BuildPlan,
    sample: Sample,
    captions: dict[CaptionColumn, str],
    accepted: Sequence[Attempt],
    history: tuple[Attempt, ...],
    warnings: Sequence[str],
) -> Record:
    recipe = plan.recipe
    wrote = {step.writes: name for step, (name, _) in zip(recipe.steps, plan.models, strict=True)}
    manifest = plan.manifest
    short_from = manifest.join.texts_from if manifest.join else manifest.texts_from
    return Record(
        sample_id=sample.sample_id,
        subset=sample.subset,
        image_name=sample.image_name,
        image_path=sample.image_path,
        caption_short=captions["caption_short"],
        caption_long=captions["caption_long"],
        short_source=wrote.get("caption_short", short_from),
        long_source=wrote.get("caption_long", manifest.texts_from),
        num_tokens_short=count_tokens(captions["caption_short"]),
        num_tokens_long=count_tokens(captions["caption_long"]),
        anchors=sample.anchors,
        label=sample.label,
        license=manifest.license,
        recipe=f"{recipe.name}.v{recipe.version}",
        prompts=tuple((prompt.name, prompt.sha256) for prompt in plan.recipe.prompts),
        model=" + ".join(dict.fromkeys(name for name, _ in plan.models)),
        model_revision=" + ".join(dict.fromkeys(revision for _, revision in plan.models)),
        engine=plan.engine if accepted else "",
        seed=accepted[-1].seed if accepted else plan.seed,
        attempts=sum(attempt.attempt for attempt in accepted),
        finish_reason=accepted[-1].finish_reason if accepted else "",
        warnings=tuple(dict.fromkeys(warnings)),
        history=history,
    )
