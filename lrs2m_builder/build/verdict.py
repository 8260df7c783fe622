"""The verdict on an answer: what the checks of its step find, and what follows from the judge's view of its claims."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

from lrs2m_builder.build.plan import BuildPlan
from lrs2m_builder.checks import Answer, Check
from lrs2m_builder.declared.place_words import given_words
from lrs2m_builder.exchange import Attempt
from lrs2m_builder.schema import CaptionColumn, Sample, UncutText
from lrs2m_builder.text import normalise_caption, without_wrapping
from lrs2m_builder.tokenizer import count_tokens
from lrs2m_builder.verify.claims import claims_of
from lrs2m_builder.verify.decide import FALSE_CLAIM, false_claims, problem_of, uncut_text, without_false

REPEATED_TEXT = "repeated_text"


@dataclass(frozen=True, slots=True)
class Verdict:
    """The result of the checks and of the judge for an attempt.

    Attributes:
        error, detail: the check that refuses it, or "", and the reason.
        cut: removed words; `uncut` is the text with them.
    """

    text: str
    error: str = ""
    detail: str = ""
    warnings: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    uncut: UncutText | None = None


def verdict_of_step(
    plan: BuildPlan,
    sample: Sample,
    attempt: Attempt,
    captions: Mapping[CaptionColumn, str],
    others: Collection[str],
) -> Verdict:
    """The verdict of a step's checks on an answer, which may not repeat another long text of the image.

    Args:
        others: the other long texts.
    """
    step = plan.recipe.steps[attempt.step]
    source = "" if step.role == "mllm" else captions["caption_long"]
    verdict = _verdict_on_text(plan, sample, attempt, without_wrapping(attempt.text), source)
    if not verdict.error and step.writes == "caption_long" and verdict.text in others:
        return Verdict(verdict.text, REPEATED_TEXT, "The same text was given for this image before.")
    return verdict


def verdict_of_judge(plan: BuildPlan, sample: Sample, attempt: Attempt, verdict: Verdict, *, is_last: bool) -> Verdict:
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
        rest = _verdict_on_text(plan, sample, attempt, text)
        if text and not rest.error:
            column = plan.recipe.steps[attempt.step].writes
            return replace(rest, cut=cut, uncut=uncut_text(column, verdict.text, false, judged))
    return Verdict(verdict.text, FALSE_CLAIM, problem_of(false))


def refusals_of(
    plan: BuildPlan,
    sample: Sample,
    answers: Sequence[Attempt],
    accepted: Sequence[Attempt],
    captions: Mapping[CaptionColumn, str],
    others: Collection[str],
) -> tuple[str, ...]:
    """For each answer of a text, what refused it and why; "" for an accepted one."""
    problems = []
    for attempt in answers:
        verdict = verdict_of_step(plan, sample, attempt, captions, others)
        if plan.verifies(plan.recipe.steps[attempt.step]) and not verdict.error and attempt.claims is not None:
            verdict = verdict_of_judge(plan, sample, attempt, verdict, is_last=False)
        is_refused = bool(verdict.error) and attempt not in accepted
        problems.append(f"{verdict.error}: {verdict.detail}" if is_refused else "")
    return tuple(problems)


def _verdict_on_text(plan: BuildPlan, sample: Sample, attempt: Attempt, text: str, source: str = "") -> Verdict:
    """The verdict of the checks of an attempt's step on a text, with what its prompt told the model of the place."""
    prompt = plan.recipe.prompt(attempt.step, attempt.text_number)
    given = given_words(sample.place, prompt.variables)
    answer = make_answer(plan, sample, text, attempt.finish_reason, source, given)
    return verdict_of_checks(plan.recipe.steps[attempt.step].checks, answer)


@lru_cache(maxsize=4096)  # an answer is replayed at each later move of its sample
def verdict_of_checks(checks: tuple[Check, ...], answer: Answer) -> Verdict:
    """The verdict of checks on an answer: the first error, or all warnings."""
    warnings = []
    for check in checks:
        detail = check.find(answer)
        if detail is not None and check.level == "error":
            return Verdict(answer.text, check.name, detail)
        if detail is not None:
            warnings.append(f"{check.name}: {detail}")
    return Verdict(answer.text, warnings=tuple(warnings))


def make_answer(
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
