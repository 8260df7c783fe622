"""The pure core of a build: from a sample and its answers so far to its next move.

`next_move` replays the attempts of a sample through the checks. A live build and one resumed from its journal call
the same function, so a journaled answer is never requested again and counts exactly as before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrs2m_builder.build.plan import BuildPlan
from lrs2m_builder.checks import Answer, Check
from lrs2m_builder.declared.place_words import given_words, place_words
from lrs2m_builder.schema import (
    Attempt,
    CaptionColumn,
    Record,
    Rejection,
    Request,
    RowClaim,
    Sample,
    UncutText,
    Verification,
)
from lrs2m_builder.text import normalise_caption, without_wrapping
from lrs2m_builder.tokenizer import count_tokens
from lrs2m_builder.verify.claims import claims_of
from lrs2m_builder.verify.decide import (
    FALSE_CLAIM,
    false_claims,
    is_judged,
    problem_of,
    row_claims,
    uncut_text,
    without_false,
)

# Increase of the temperature per repeated answer, for models that repeat themselves when asked again.
WARMER, WARMEST = 0.2, 1.0


@dataclass(frozen=True, slots=True)
class _Verdict:
    """The result of the checks and of the judge for an attempt.

    Attributes:
        error, detail: the check that refuses it, or "", and the reason.
        cut: removed sentences; `uncut` is the text with them.
    """

    text: str
    error: str = ""
    detail: str = ""
    warnings: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    uncut: UncutText | None = None


Move = Request | Verification | Record | Rejection


def next_move(plan: BuildPlan, sample: Sample, attempts: Sequence[Attempt], spent: int = 0) -> Move:
    """The next move of a sample: a request to be answered, an answer to be judged, or its end.

    Args:
        attempts: all answers so far, in order.
        spent: how many of them belong to earlier rounds that ended in a rejection.
    """
    if (problem := unusable(plan, sample)) is not None:
        return Rejection(sample.sample_id, *problem, _answers(attempts))

    captions: dict[CaptionColumn, str] = {"caption_short": next(iter(sample.captions), "")}
    captions["caption_long"] = sample.caption_long
    accepted: list[Attempt] = []
    warnings: list[str] = []
    claims: list[RowClaim] = []
    cut: list[str] = []
    uncut: list[UncutText] = []
    for column, checks in plan.recipe.given_checks.items():
        verdict = _judge(checks, _answer(plan, sample, captions[column]))
        if verdict.error:
            return Rejection(sample.sample_id, verdict.error, f"{column}: {verdict.detail}", _answers(attempts))
        warnings.extend(verdict.warnings)
    for number, step in enumerate(plan.recipe.steps):
        of_step = [attempt for attempt in attempts if attempt.step == number]
        if not of_step:
            return _request(plan, sample, number, captions, 1, "")
        if of_step[-1].problem:
            return Rejection(sample.sample_id, of_step[-1].problem, of_step[-1].text, _answers(attempts))
        is_last = sum(attempt.step == number for attempt in attempts[spent:]) >= plan.max_attempts
        verdict = _checked(plan, sample, of_step[-1], captions)
        if plan.verifies(step) and not verdict.error:
            statements = claims_of(verdict.text)
            if not is_judged(statements, of_step[-1].claims):
                return Verification(sample.sample_id, of_step[-1], tuple(claim.words for claim in statements))
            verdict = _verified(plan, sample, number, of_step[-1], verdict, is_last=is_last)
        if verdict.error and is_last:
            answers = _answers(attempts)
            problems = _problems(plan, sample, answers, accepted, captions)
            return Rejection(sample.sample_id, verdict.error, verdict.detail, answers, problems)
        if verdict.error:
            request = _request(plan, sample, number, captions, len(of_step) + 1, verdict.detail)
            return replace(request, sampling=_warmer(request.sampling, _num_repeats(of_step)))
        captions[step.writes] = verdict.text
        warnings.extend(verdict.warnings)
        claims.extend(row_claims(step.writes, verdict.text, of_step[-1].claims or ()) if plan.verifies(step) else ())
        cut.extend(verdict.cut)
        uncut.extend(filter(None, [verdict.uncut]))
        accepted.append(of_step[-1])
    record = _record(plan, sample, captions, accepted, _answers(attempts), warnings)
    if plan.verify is None:
        return record
    judge = "@".join(filter(None, plan.verify.judge))
    return replace(record, judge=judge, claims=tuple(claims), cut=tuple(cut), uncut=tuple(uncut))


def _checked(plan: BuildPlan, sample: Sample, attempt: Attempt, captions: Mapping[CaptionColumn, str]) -> _Verdict:
    """The verdict of a step's checks on an answer."""
    step = plan.recipe.steps[attempt.step]
    source = "" if step.role == "mllm" else captions["caption_long"]
    given = _given(plan, sample, attempt.step)
    text = without_wrapping(attempt.text)
    return _judge(step.checks, _answer(plan, sample, text, attempt.finish_reason, source, given))


def _problems(
    plan: BuildPlan,
    sample: Sample,
    answers: Sequence[Attempt],
    accepted: Sequence[Attempt],
    captions: Mapping[CaptionColumn, str],
) -> tuple[str, ...]:
    """For each answer, what refused it and why; "" for an accepted one."""
    problems = []
    for attempt in answers:
        verdict = _checked(plan, sample, attempt, captions)
        if plan.verifies(plan.recipe.steps[attempt.step]) and not verdict.error and attempt.claims is not None:
            verdict = _verified(plan, sample, attempt.step, attempt, verdict, is_last=False)
        is_refused = bool(verdict.error) and attempt not in accepted
        problems.append(f"{verdict.error}: {verdict.detail}" if is_refused else "")
    return tuple(problems)


def _verified(
    plan: BuildPlan, sample: Sample, number: int, attempt: Attempt, verdict: _Verdict, *, is_last: bool
) -> _Verdict:
    """The verdict on an answer that passed its checks, after a judge has seen its claims."""
    assert plan.verify is not None
    judged, thresholds, mode = attempt.claims or (), plan.verify.thresholds, plan.verify.mode
    false = false_claims(claims_of(verdict.text), judged, thresholds)
    if not false:
        return verdict
    if mode == "warn":
        false_words = tuple(f"{FALSE_CLAIM}: {claim.words}" for claim in false)
        return replace(verdict, warnings=verdict.warnings + false_words)
    if mode == "cut" or is_last:
        text, cut = without_false(verdict.text, judged, thresholds)
        rest = _judge(
            plan.recipe.steps[number].checks,
            _answer(plan, sample, text, attempt.finish_reason, given=_given(plan, sample, number)),
        )
        if text and not rest.error:
            column = plan.recipe.steps[number].writes
            return replace(rest, cut=cut, uncut=uncut_text(column, verdict.text, false, judged))
    return _Verdict(verdict.text, FALSE_CLAIM, problem_of(false))


def end_without_model(plan: BuildPlan, sample: Sample) -> Record | Rejection:
    """The end of a sample in a recipe without a model."""
    move = next_move(plan, sample, ())
    assert isinstance(move, Record | Rejection), "the recipe uses no model"
    return move


def first_requests(plan: BuildPlan, sample: Sample) -> list[Request]:
    """The first request of every step for a sample; a placeholder describes the texts of earlier steps.

    Raises:
        UserError: a prompt uses an unknown variable or fails, in a first or a repeated request.
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
    """Reason and detail why a sample is unusable; None for a usable sample."""
    if sample.problem is not None:
        return sample.problem
    missing = next((need for need in plan.recipe.reads if not getattr(sample, need)), None)
    if missing == "anchors" and sample.no_anchors:
        return sample.no_anchors
    return (f"no_{missing}", f"recipe {plan.recipe.name} reads {missing}") if missing else None


def prompt_variables(
    plan: BuildPlan, sample: Sample, number: int, captions: Mapping[CaptionColumn, str], problem: str = ""
) -> dict[str, Any]:
    """The variables of a step's prompt: the captions so far, the place, the recipe's own ones, and the last problem."""
    by_name: dict[str, Any] = {str(column): text for column, text in captions.items()}
    own = plan.recipe.steps[number].variables(sample, plan.manifest)
    return {**by_name, **place_words(sample.place), **own, "problem": problem}


def _given(plan: BuildPlan, sample: Sample, number: int) -> str:
    """What the prompt of a step tells a model of the image's place."""
    return given_words(sample.place, plan.recipe.prompts[number].variables)


def request_seed(run_seed: int, sample_id: str, step: int, attempt: int) -> int:
    """A 31-bit seed, the same in every run with the same settings, and different for each attempt."""
    digest = hashlib.sha256(f"{run_seed}\x00{sample_id}\x00{step}\x00{attempt}".encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _num_repeats(attempts: Sequence[Attempt]) -> int:
    """Number of answers that repeat an earlier one."""
    return len(attempts) - len({normalise_caption(attempt.text) for attempt in attempts})


def _warmer(sampling: Mapping[str, Any], num_repeats: int) -> Mapping[str, Any]:
    """Sampling parameters with a higher temperature for each repeated answer."""
    temperature = sampling.get("temperature")
    if not num_repeats or isinstance(temperature, bool) or not isinstance(temperature, int | float):
        return sampling
    return {**sampling, "temperature": round(max(temperature, min(WARMEST, temperature + WARMER * num_repeats)), 3)}


def _answers(attempts: Sequence[Attempt]) -> tuple[Attempt, ...]:
    return tuple(attempt for attempt in attempts if not attempt.problem)


def _answer(
    plan: BuildPlan, sample: Sample, raw: str, finish_reason: str = "stop", source: str = "", given: str = ""
) -> Answer:
    """The answer for the checks."""
    text = normalise_caption(raw)
    return Answer(
        text=text,
        raw=raw,
        finish_reason=finish_reason,
        num_tokens=count_tokens(text),
        sample=sample,
        source=source,
        viewpoint=plan.manifest.viewpoint,
        given=given,
    )


def _judge(checks: Sequence[Check], answer: Answer) -> _Verdict:
    warnings = []
    for check in checks:
        detail = check.find(answer)
        if detail is not None and check.level == "error":
            return _Verdict(answer.text, check.name, detail)
        if detail is not None:
            warnings.append(f"{check.name}: {detail}")
    return _Verdict(answer.text, warnings=tuple(warnings))


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
        place=sample.place,
        history=history,
    )
