"""The pure core of a build: from a sample and its answers so far to its next move.

`next_move` replays the attempts of a sample through the checks. A live build and one resumed from its journal call
the same function, so a journaled answer is never requested again and counts exactly as before.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from lrs2m_builder.build.plan import JUDGE, BuildPlan
from lrs2m_builder.build.records import FinishedText, make_record
from lrs2m_builder.build.requests import given_captions, make_request, retry_request
from lrs2m_builder.build.verdict import (
    REPEATED_TEXT,
    make_answer,
    refusals_of,
    verdict_of_checks,
    verdict_of_judge,
    verdict_of_step,
)
from lrs2m_builder.engines._base import ENDPOINT_FAILED
from lrs2m_builder.exchange import Attempt, Request, Verification
from lrs2m_builder.schema import Record, Rejection, RowClaim, Sample, UncutText
from lrs2m_builder.verify.claims import claims_of
from lrs2m_builder.verify.decide import is_judged, row_claims

TEXT_REJECTED = "text_rejected"

Move = Request | Verification | Record | Rejection


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


def end_without_model(plan: BuildPlan, sample: Sample) -> Record | Rejection:
    """The end of a sample in a recipe without a model."""
    move = next_move(plan, sample, ())
    assert isinstance(move, Record | Rejection), "the recipe uses no model"
    return move


def unusable(plan: BuildPlan, sample: Sample) -> tuple[str, str] | None:
    """Reason and detail why a sample is unusable; None for a usable sample."""
    if sample.problem is not None:
        return sample.problem
    missing = next((need for need in plan.recipe.reads if not getattr(sample, need)), None)
    if missing == "anchors" and sample.no_anchors:
        return sample.no_anchors
    return (f"no_{missing}", f"recipe {plan.recipe.name} reads {missing}") if missing else None


def _moves(
    plan: BuildPlan, sample: Sample, attempts: Sequence[Attempt], spent: int
) -> tuple[Request | Verification, ...] | Record | Rejection:
    """The open moves of a sample, one per unfinished text, or its end.

    Of several long texts each has its own attempts; what follows the long text (a summary) is made of the first text
    that passes, or of the next one if it cannot be. The sample is rejected only if no text passes.
    """
    if (problem := unusable(plan, sample)) is not None:
        return Rejection(sample.sample_id, *problem, _answers(attempts))
    given, warnings = given_captions(sample), list[str]()
    for column, checks in plan.recipe.given_checks.items():
        verdict = verdict_of_checks(checks, make_answer(plan, sample, given[column]))
        if verdict.error:
            return Rejection(sample.sample_id, verdict.error, f"{column}: {verdict.detail}", _answers(attempts))
        warnings.extend(verdict.warnings)
    if not plan.recipe.steps:
        return make_record(plan, sample, [FinishedText(0, given, ())], (), warnings)
    texts, rejections = dict[int, FinishedText](), dict[int, Rejection]()
    moves = list[Request | Verification]()

    def take(number: int, num_steps: int, others: Sequence[str]) -> None:
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
        take(
            number,
            num_long if plan.texts > 1 else num_steps,
            [text.captions["caption_long"] for text in texts.values()],
        )
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
    return make_record(plan, sample, tuple(texts.values()), _answers(attempts), warnings)


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
    others: Sequence[str],
) -> FinishedText | Request | Verification | Rejection:
    """The next move of one long text through the first steps of the recipe, or the text.

    Args:
        number: of the text, from 0.
        others: long texts of the image that it must not repeat.
    """
    captions = dict(given_captions(sample))
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
            return make_request(plan, sample, index, captions, text_number=number)
        if of_step[-1].problem:
            return Rejection(sample.sample_id, of_step[-1].problem, of_step[-1].text, _answers(own))
        is_last = sum(attempt.step == index for attempt in own[own_spent:]) >= plan.max_attempts
        verdict = verdict_of_step(plan, sample, of_step[-1], captions, others)
        if plan.verifies(step) and not verdict.error:
            statements = claims_of(verdict.text)
            if not is_judged(statements, of_step[-1].claims):
                return Verification(sample.sample_id, of_step[-1], tuple(claim.words for claim in statements))
            verdict = verdict_of_judge(plan, sample, of_step[-1], verdict, is_last=is_last)
        if verdict.error and is_last:
            answers = _answers(own)
            problems = refusals_of(plan, sample, answers, accepted, captions, others)
            return Rejection(sample.sample_id, verdict.error, verdict.detail, answers, problems)
        if verdict.error:
            is_repeat = verdict.error == REPEATED_TEXT
            return retry_request(plan, sample, captions, of_step, verdict.detail, repeats_other_text=is_repeat)
        captions[step.writes] = verdict.text
        warnings.extend(verdict.warnings)
        claims.extend(row_claims(step.writes, verdict.text, of_step[-1].claims or ()) if plan.verifies(step) else ())
        cut.extend(verdict.cut)
        uncut.extend(filter(None, [verdict.uncut]))
        accepted.append(of_step[-1])
    return FinishedText(number, captions, tuple(accepted), tuple(warnings), tuple(claims), tuple(cut), tuple(uncut))


def _answers(attempts: Sequence[Attempt]) -> tuple[Attempt, ...]:
    return tuple(attempt for attempt in attempts if not attempt.problem)
