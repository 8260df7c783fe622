"""`lrs2m verify`."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, cast

import typer

from lrs2m_builder.commands import DataSetArgument, Json, print_json
from lrs2m_builder.commands.complete import engines
from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import duration, show

if TYPE_CHECKING:
    from lrs2m_builder.dataset.verify.report import VerifyReport
    from lrs2m_builder.dataset.verify.rows import TextName


def verify_command(
    data: DataSetArgument,
    model: Annotated[str, typer.Option(metavar="NAME", help="Hub name or folder of a multimodal model: the judge.")],
    engine: Annotated[
        str,
        typer.Option(
            metavar="NAME",
            autocompletion=engines,
            help="What runs the judge: vllm, transformers (without vLLM) or openai (any OpenAI-compatible endpoint).",
        ),
    ] = "vllm",
    base_url: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Address of the endpoint, such as http://127.0.0.1:8000/v1; OPENAI_API_KEY holds its key.",
        ),
    ] = None,
    engine_option: Annotated[
        list[str] | None,
        typer.Option(metavar="KEY=VALUE", help="Option of the engine, such as max_pixels=602112 (docs/build.md)."),
    ] = None,
    texts: Annotated[str, typer.Option(metavar="long,short", help="Which texts are judged.")] = "long,short",
    name: Annotated[
        str,
        typer.Option(metavar="NAME", help="Name of the scores; --where calls their columns NAME_long_min and so on."),
    ] = "verify",
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Judge only the first N rows.")] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=P",
            help="Score below which claims of a kind count as false, such as count=0.3; all=P for every kind not "
            "named. By default 0.5.",
        ),
    ] = None,
    show_claims: Annotated[
        int, typer.Option("--show-claims", metavar="N", min=0, help="Print the N claims with the smallest scores.")
    ] = 5,
    as_json: Json = False,
) -> None:
    """Ask a model whether the texts are true.

    Splits every text of a data set into single claims and asks a model that sees the image how probable each is. Writes
    the scores beside the data set, which stays unchanged. Run the same command again to resume after a stop. What a
    claim is, judges and cost: docs/verify.md.

    Example:
        lrs2m verify out --model Qwen/Qwen3-VL-8B-Instruct
        lrs2m verify out --model internvl --engine openai --base-url http://127.0.0.1:8000/v1 --name internvl
    """
    from lrs2m_builder.dataset.verify.run import VerifyOptions, verify
    from lrs2m_builder.engines import engine_module
    from lrs2m_builder.engines._options import parse_options
    from lrs2m_builder.verify.verdicts import parse_thresholds

    engine_options = parse_options("--engine-option", engine_option or ())
    if base_url is not None:
        engine_options["base_url"] = base_url
    report = verify(
        VerifyOptions(
            path=data,
            model=model,
            engine=engine,
            engine_options=engine_options,
            name=name,
            texts=_text_names(texts),
            limit=limit,
            thresholds=parse_thresholds(threshold or ()),
            num_shown=show_claims,
        ),
        engine_module(engine),
    )
    print_json(asdict(report)) if as_json else show("\n".join(report_lines(report)))
    if report.run.stopped:
        raise typer.Exit(130)


def _text_names(given: str) -> tuple[TextName, ...]:
    names = tuple(dict.fromkeys(given.split(",")))
    if not set(names) <= {"long", "short"}:
        raise UserError(f"--texts {given}: write long, short or long,short")
    return cast("tuple[TextName, ...]", names)


def report_lines(report: VerifyReport) -> list[str]:
    """The report for people."""
    run = report.run
    lines = [
        f"{report.path}: scores {report.name!r}" + ("; stopped, run the same command to resume" if run.stopped else "")
    ]
    for text, counts in report.texts.items():
        missing = "".join(f", {number:,} {reason}" for reason, number in counts["without_verdict"].items())
        lines.append(
            f"  caption_{text}: {counts['judged']:,} judged, {counts['with_false_claim']:,} with a false claim{missing}"
        )
    for kind, counts in report.kinds.items():
        mean = "" if counts["mean"] is None else f", mean score {counts['mean']:.3f}"
        unanswered = f", {counts['unanswered']:,} unanswered" if counts["unanswered"] else ""
        lines.append(f"  {counts['claims']:>8,} {kind} claims, {counts['num_false']:,} false{mean}{unanswered}")
    if run.num_asked:
        lines.append(f"  this run: {run.num_asked:,} claims in {duration(run.seconds)}{_cache_words(run.cached_share)}")
    if run.num_left_out:
        lines.append(f"  {run.num_left_out:,} claims were not asked: the texts have too many")
    if run.rows_left:
        lines.append(f"  {run.rows_left:,} rows are left; run the same command to judge them")
    lines += [
        f"  {claim['score']:.3f}  {claim['sample_id']} ({claim['kind']}): {claim['words']}" for claim in report.shown
    ]
    return lines


def _cache_words(share: float | None) -> str:
    """What was computed once for several claims of an image, and what to do if nothing was."""
    if share is None:
        return ""
    if share == 0:
        return (
            "; the claims of an image shared nothing of what was computed, which makes them several times dearer: on a "
            "CPU give --engine-option block_size=32, elsewhere see docs/verify.md"
        )
    return f", {share:.0%} of the prompt tokens computed before for another claim"
