"""The pure core of a build: from a sample and its answers so far to its next move.

`next_move` replays the attempts of a sample through the checks. A live build and one resumed from its journal call
the same function, so a journaled answer is never requested again and counts exactly as before.
"""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from lrs2m_builder.build.plan import JUDGE, BuildPlan
from lrs2m_builder.checks import Answer, Check
from lrs2m_builder.declared.place_words import given_words, place_words
from lrs2m_builder.declared.prompt import Prompt
from lrs2m_builder.engines._base import ENDPOINT_FAILED
from lrs2m_builder.schema import (
    Attempt,
    CaptionColumn,
    Record,
    Rejection,
    Request,
    RowClaim,
    Sample,
    TextOrigin,
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
        cut: removed words; `uncut` is the text with them.
    """

    text: str
    error: str = ""
    detail: str = ""
    warnings: tuple[str, ...] = ()
    cut: tuple[str, ...] = ()
    uncut: UncutText | None = None


Move = Request | Verification | Record | Rejection


REPEATED_TEXT, TEXT_REJECTED = "repeated_text", "text_rejected"


@dataclass(frozen=True, slots=True)
class _Text:
    """One of the long texts of an image, with the texts made from it: its steps are done.

    Attributes:
        accepted: the answer of each step.
    """

    number: int
    captions: Mapping[CaptionColumn, str]
    accepted: tuple[Attempt, ...]
    warnings: tuple[str, ...] = ()
    claims: tuple[RowClaim, ...] = ()
    cut: tuple[str, ...] = ()
    uncut: tuple[UncutText, ...] = ()


def next_move(
    plan: BuildPlan,
    sample: Sample,
    attempts: Sequence[Attempt],
    spent: int = 0,
    able: Collection[int] | None = None,
) -> Move:
    """The next move of a sample: a request to be answered, an answer to be judged, or its end.

    Args:
        attempts: all answers so far, in order.
        spent: how many of them belong to earlier rounds that ended in a rejection.
        able: what can be done now (see `needs`): of several open moves, the first that it allows; None allows all.
    """
    moves = _moves(plan, sample, attempts, spent)
    if isinstance(moves, Record | Rejection):
        return moves
    return next((move for move in moves if able is None or needs(move) in able), moves[0])


def open_moves(
    plan: BuildPlan, sample: Sample, attempts: Sequence[Attempt], spent: int = 0
) -> tuple[Request | Verification, ...]:
    """What is open of all texts of a sample, which may be for different engines; empty at its end."""
    moves = _moves(plan, sample, attempts, spent)
    return moves if isinstance(moves, tuple) else ()


def needs(move: Request | Verification) -> int:
    """Who answers a move: the number of a request's step, or JUDGE."""
    return move.step if isinstance(move, Request) else JUDGE


def _moves(
    plan: BuildPlan, sample: Sample, attempts: Sequence[Attempt], spent: int
) -> tuple[Request | Verification, ...] | Record | Rejection:
    """The open moves of a sample, one per unfinished text, or its end.

    Of several long texts each has its own attempts; what follows the long text (a summary) is made of the first text
    that passes, or of the next one if it cannot be. The sample is rejected only if no text passes.
    """
    if (problem := unusable(plan, sample)) is not None:
        return Rejection(sample.sample_id, *problem, _answers(attempts))
    given, warnings = _given_captions(sample), list[str]()
    for column, checks in plan.recipe.given_checks.items():
        verdict = _judge(checks, _answer(plan, sample, given[column]))
        if verdict.error:
            return Rejection(sample.sample_id, verdict.error, f"{column}: {verdict.detail}", _answers(attempts))
        warnings.extend(verdict.warnings)
    if not plan.recipe.steps:
        return _record(plan, sample, [_Text(0, given, ())], (), warnings)
    texts, rejections = dict[int, _Text](), dict[int, Rejection]()
    moves = list[Request | Verification]()

    def take(number: int, num_steps: int, others: Sequence[_Text]) -> None:
        end = _text(plan, sample, attempts, spent, number, num_steps, others)
        if isinstance(end, Request | Verification):
            moves.append(end)
        elif isinstance(end, Rejection):
            rejections[number] = end
            texts.pop(number, None)
        else:
            texts[number] = end

    num_steps, num_long = len(plan.recipe.steps), plan.recipe.num_long_steps
    for number in range(plan.texts):
        take(number, num_long if plan.texts > 1 else num_steps, tuple(texts.values()))
    while not moves and texts and len(next(iter(texts.values())).accepted) < num_steps:
        take(next(iter(texts)), num_steps, ())
    if moves:
        return tuple(moves)
    if failed := next((each for each in rejections.values() if each.reason == ENDPOINT_FAILED), None):
        # The endpoint's fault: the same command asks for this text again, so the answers of all texts are kept.
        return replace(failed, attempts=_answers(attempts), problems=())
    if not texts:
        return _without_text(tuple(rejections.values()))
    warnings += [f"{TEXT_REJECTED}: text {n + 1}: {each.reason}: {each.detail}" for n, each in rejections.items()]
    return _record(plan, sample, tuple(texts.values()), _answers(attempts), warnings)


def _without_text(rejections: Sequence[Rejection]) -> Rejection:
    """The rejection of a sample none of whose texts passed: the reason of the first, the answers of all."""
    problems = [problem for each in rejections for problem in each.problems or ("",) * len(each.attempts)]
    attempts = tuple(attempt for each in rejections for attempt in each.attempts)
    return replace(rejections[0], attempts=attempts, problems=tuple(problems) if any(problems) else ())


def _text(
    plan: BuildPlan,
    sample: Sample,
    attempts: Sequence[Attempt],
    spent: int,
    number: int,
    num_steps: int,
    others: Sequence[_Text],
) -> _Text | Request | Verification | Rejection:
    """The next move of one long text through the first steps of the recipe, or the text.

    Args:
        number: of the text, from 0.
        others: texts of the image that it must not repeat.
    """
    captions = dict(_given_captions(sample))
    accepted: list[Attempt] = []
    warnings: list[str] = []
    claims: list[RowClaim] = []
    cut: list[str] = []
    uncut: list[UncutText] = []
    own = [attempt for attempt in attempts if attempt.text_number == number]
    own_spent = sum(attempt.text_number == number for attempt in attempts[:spent])
    for index, step in enumerate(plan.recipe.steps[:num_steps]):
        of_step = [attempt for attempt in own if attempt.step == index]
        if not of_step:
            return _request(plan, sample, index, captions, 1, "", number)
        if of_step[-1].problem:
            return Rejection(sample.sample_id, of_step[-1].problem, of_step[-1].text, _answers(own))
        is_last = sum(attempt.step == index for attempt in own[own_spent:]) >= plan.max_attempts
        verdict = _checked(plan, sample, of_step[-1], captions, others)
        if plan.verifies(step) and not verdict.error:
            statements = claims_of(verdict.text)
            if not is_judged(statements, of_step[-1].claims):
                return Verification(sample.sample_id, of_step[-1], tuple(claim.words for claim in statements))
            verdict = _verified(plan, sample, index, of_step[-1], verdict, is_last=is_last)
        if verdict.error and is_last:
            answers = _answers(own)
            problems = _problems(plan, sample, answers, accepted, captions, others)
            return Rejection(sample.sample_id, verdict.error, verdict.detail, answers, problems)
        if verdict.error:
            request = _request(plan, sample, index, captions, len(of_step) + 1, verdict.detail, number)
            return replace(request, sampling=_warmer(request.sampling, _num_repeats(of_step, verdict.error)))
        captions[step.writes] = verdict.text
        warnings.extend(verdict.warnings)
        claims.extend(row_claims(step.writes, verdict.text, of_step[-1].claims or ()) if plan.verifies(step) else ())
        cut.extend(verdict.cut)
        uncut.extend(filter(None, [verdict.uncut]))
        accepted.append(of_step[-1])
    return _Text(number, captions, tuple(accepted), tuple(warnings), tuple(claims), tuple(cut), tuple(uncut))


def _given_captions(sample: Sample) -> dict[CaptionColumn, str]:
    """The texts of the source."""
    return {"caption_short": next(iter(sample.captions), ""), "caption_long": sample.caption_long}


def _repeats(text: str, others: Sequence[_Text]) -> bool:
    return any(text == other.captions["caption_long"] for other in others)


def _checked(
    plan: BuildPlan,
    sample: Sample,
    attempt: Attempt,
    captions: Mapping[CaptionColumn, str],
    others: Sequence[_Text],
) -> _Verdict:
    """The verdict of a step's checks on an answer, which may not repeat another long text of the image."""
    step = plan.recipe.steps[attempt.step]
    source = "" if step.role == "mllm" else captions["caption_long"]
    given = _given(plan, sample, attempt.step, attempt.text_number)
    text = without_wrapping(attempt.text)
    verdict = _judge(step.checks, _answer(plan, sample, text, attempt.finish_reason, source, given))
    if not verdict.error and step.writes == "caption_long" and _repeats(verdict.text, others):
        return _Verdict(verdict.text, REPEATED_TEXT, "The same text was given for this image before.")
    return verdict


def _problems(
    plan: BuildPlan,
    sample: Sample,
    answers: Sequence[Attempt],
    accepted: Sequence[Attempt],
    captions: Mapping[CaptionColumn, str],
    others: Sequence[_Text],
) -> tuple[str, ...]:
    """For each answer of a text, what refused it and why; "" for an accepted one."""
    problems = []
    for attempt in answers:
        verdict = _checked(plan, sample, attempt, captions, others)
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
            _answer(
                plan,
                sample,
                text,
                attempt.finish_reason,
                given=_given(plan, sample, number, attempt.text_number),
            ),
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
    """The first request of every step and prompt for a sample; a placeholder describes the texts of earlier steps.

    Raises:
        UserError: a prompt uses an unknown variable or fails, in a first or a repeated request.
    """
    captions = _given_captions(sample)
    requests = []
    for number, step in enumerate(plan.recipe.steps):
        for text_number in _prompted(plan, number):
            _request(plan, sample, number, captions, 2, "The answer was empty.", text_number)
            requests.append(_request(plan, sample, number, captions, 1, "", text_number))
        captions[step.writes] = f"(the {step.writes} that step {number + 1} writes)"
    return requests


def _prompted(plan: BuildPlan, step: int) -> range:
    """The numbers of the first texts that together use every prompt of a step."""
    if step >= plan.recipe.num_long_steps or not plan.recipe.other_prompts:
        return range(1)
    return range(min(plan.texts, len(plan.recipe.other_prompts[step]) + 1))


def used_prompts(plan: BuildPlan) -> list[Prompt]:
    """The prompts of all steps and texts."""
    return [prompt for step in range(len(plan.recipe.steps)) for prompt in step_prompts(plan, step)]


def step_prompts(plan: BuildPlan, step: int) -> list[Prompt]:
    """The prompts of a step that the texts of an image use."""
    return [plan.recipe.prompt(step, number) for number in _prompted(plan, step)]


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


def _given(plan: BuildPlan, sample: Sample, number: int, text_number: int) -> str:
    """What the prompt of a step tells a model of the image's place."""
    return given_words(sample.place, plan.recipe.prompt(number, text_number).variables)


def request_seed(run_seed: int, sample_id: str, step: int, attempt: int, text_number: int = 0) -> int:
    """A 31-bit seed, the same in every run with the same settings, and different for each attempt and text."""
    parts = (run_seed, sample_id, step, attempt, *([text_number] if text_number else ()))
    digest = hashlib.sha256("\x00".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:4], "big") >> 1


def _num_repeats(attempts: Sequence[Attempt], error: str) -> int:
    """Number of answers that repeat an earlier one, of the same or of another text."""
    repeats = len(attempts) - len({normalise_caption(attempt.text) for attempt in attempts})
    return repeats + (error == REPEATED_TEXT)


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


@lru_cache(maxsize=4096)  # an answer is replayed at each later move of its sample
def _judge(checks: tuple[Check, ...], answer: Answer) -> _Verdict:
    warnings = []
    for check in checks:
        detail = check.find(answer)
        if detail is not None and check.level == "error":
            return _Verdict(answer.text, check.name, detail)
        if detail is not None:
            warnings.append(f"{check.name}: {detail}")
    return _Verdict(answer.text, warnings=tuple(warnings))


def _request(
    plan: BuildPlan,
    sample: Sample,
    number: int,
    captions: Mapping[CaptionColumn, str],
    attempt: int,
    problem: str,
    text_number: int,
) -> Request:
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


def _record(
    plan: BuildPlan,
    sample: Sample,
    texts: Sequence[_Text],
    history: tuple[Attempt, ...],
    warnings: Sequence[str],
) -> Record:
    """The row of a sample: of the first text, with the others in its lists."""
    recipe, first = plan.recipe, texts[0]
    captions, accepted = first.captions, first.accepted
    wrote = {step.writes: name for step, (name, _) in zip(recipe.steps, plan.models, strict=True)}
    manifest = plan.manifest
    short_from = manifest.join.texts_from if manifest.join else manifest.texts_from
    record = Record(
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
        prompts=tuple((prompt.name, prompt.sha256) for prompt in used_prompts(plan)),
        model=" + ".join(dict.fromkeys(name for name, _ in plan.models)),
        model_revision=" + ".join(dict.fromkeys(revision for _, revision in plan.models)),
        engine=plan.engine if accepted else "",
        seed=accepted[-1].seed if accepted else plan.seed,
        attempts=sum(attempt.attempt for attempt in accepted),
        finish_reason=accepted[-1].finish_reason if accepted else "",
        warnings=tuple(dict.fromkeys((*warnings, *first.warnings, *_other_warnings(texts[1:])))),
        place=sample.place,
        history=history,
    )
    if plan.texts > 1:
        record = replace(
            record,
            captions_long=tuple(text.captions["caption_long"] for text in texts),
            captions_long_origin=tuple(_origin(plan, text) for text in texts),
        )
    if plan.verify is None:
        return record
    judge = "@".join(filter(None, plan.verify.judge))
    return replace(record, judge=judge, claims=first.claims, cut=first.cut, uncut=first.uncut)


def _other_warnings(texts: Sequence[_Text]) -> list[str]:
    """The warnings of further texts, each with the number of its text."""
    warnings = ((text.number + 1, *warning.partition(": ")) for text in texts for warning in text.warnings)
    return [f"{name}: text {number}{colon}{detail}" for number, name, colon, detail in warnings]


def _origin(plan: BuildPlan, text: _Text) -> TextOrigin:
    """How a long text was made."""
    steps = text.accepted[: plan.recipe.num_long_steps]
    return TextOrigin(
        prompt=plan.recipe.prompt(steps[-1].step, text.number).name,
        seed=steps[-1].seed,
        attempts=sum(attempt.attempt for attempt in steps),
        finish_reason=steps[-1].finish_reason,
        num_tokens=count_tokens(text.captions["caption_long"]),
    )
