"""The record of a sample, from its finished long texts and the texts made from the first of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from lrs2m_builder.build.plan import BuildPlan
from lrs2m_builder.build.requests import used_prompts
from lrs2m_builder.exchange import Attempt
from lrs2m_builder.schema import CaptionColumn, Record, RowClaim, Sample, TextOrigin, UncutText
from lrs2m_builder.tokenizer import count_tokens


@dataclass(frozen=True, slots=True)
class FinishedText:
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


def make_record(
    plan: BuildPlan,
    sample: Sample,
    texts: Sequence[FinishedText],
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


def _other_warnings(texts: Sequence[FinishedText]) -> list[str]:
    """The warnings of further texts, each with the number of its text."""
    warnings = ((text.number + 1, *warning.partition(": ")) for text in texts for warning in text.warnings)
    return [f"{name}: text {number}{colon}{detail}" for number, name, colon, detail in warnings]


def _origin(plan: BuildPlan, text: FinishedText) -> TextOrigin:
    """How a long text was made."""
    steps = text.accepted[: plan.recipe.num_long_steps]
    return TextOrigin(
        prompt=plan.recipe.prompt(steps[-1].step, text.number).name,
        seed=steps[-1].seed,
        attempts=sum(attempt.attempt for attempt in steps),
        finish_reason=steps[-1].finish_reason,
        num_tokens=count_tokens(text.captions["caption_long"]),
    )
