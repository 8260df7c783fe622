"""`lrs2m verify`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, cast

import typer

from lrs2m_builder.commands import BaseUrl, Engine, EngineOption, ImageDir, Json, print_json, say_only_first
from lrs2m_builder.errors import UserError
from lrs2m_builder.terminal import duration, show

if TYPE_CHECKING:
    from lrs2m_builder.dataset.verify.report import VerifyReport
    from lrs2m_builder.dataset.verify.rows import TextName
    from lrs2m_builder.verify.calibrate import CalibrationOptions


def verify_command(
    model: Annotated[str, typer.Option(metavar="NAME", help="Hub name or folder of a multimodal model: the judge.")],
    engine: Engine = "vllm",
    base_url: BaseUrl = None,
    engine_option: EngineOption = None,
    texts: Annotated[str, typer.Option(metavar="long,short", help="Which texts are judged.")] = "long,short",
    claims: Annotated[
        Literal["rules", "model"],
        typer.Option(metavar="rules|model", help="Who splits the texts into claims: rules, or the judge itself."),
    ] = "rules",
    name: Annotated[
        str,
        typer.Option(metavar="NAME", help="Name of the scores; --where calls their columns NAME_long_min and so on."),
    ] = "verify",
    images: ImageDir = None,
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Judge only the first N rows.")] = None,
    threshold: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND=P",
            help="Score below which claims of a kind count as false, such as count=0.3; all=P for every kind not "
            "named, or a calibration.json. By default the one beside the judge's weights, else 0.5.",
        ),
    ] = None,
    show_claims: Annotated[
        int, typer.Option("--show-claims", metavar="N", min=0, help="Print the N claims with the smallest scores.")
    ] = 5,
    calibrate: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Measure the judge on labelled claims (lrs2m claims) instead of judging a data set."
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="With --calibrate: file to write. By default calibration.json beside FILE."),
    ] = None,
    lost: Annotated[
        float | None,
        typer.Option(
            metavar="P",
            min=0,
            max=0.5,
            help="With --calibrate: share of true claims below each threshold. By default 0.01.",
        ),
    ] = None,
    as_json: Json = False,
    data: Annotated[
        Path | None,
        typer.Argument(
            metavar="[DATA]", help="The --out of a build, or any folder of Parquet files with the same columns."
        ),
    ] = None,
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
    from lrs2m_builder.verify.calibrate import CalibrationOptions
    from lrs2m_builder.verify.verdicts import CALIBRATION, parse_thresholds

    engine_options = parse_options("--engine-option", engine_option or ())
    if base_url is not None:
        engine_options["base_url"] = base_url
    if calibrate is not None:
        if data is not None:
            raise UserError("--calibrate measures the judge alone: leave DATA out")
        out = out or calibrate.with_name(CALIBRATION)
        options = CalibrationOptions(calibrate, out, model, engine, engine_options)
        _calibrate(options if lost is None else replace(options, lost=lost), as_json)
        return
    if lost is not None:
        raise UserError("--lost chooses the thresholds of --calibrate; give that too")
    if data is None:
        raise UserError("DATA is missing: give the --out of a build, or --calibrate FILE to measure the judge")
    say_only_first(data)
    report = verify(
        VerifyOptions(
            path=data,
            model=model,
            engine=engine,
            engine_options=engine_options,
            name=name,
            texts=_text_names(texts),
            claims=claims,
            image_dir=images,
            limit=limit,
            thresholds=parse_thresholds(threshold) if threshold else {},
            num_shown=show_claims,
        ),
        engine_module(engine),
    )
    print_json(asdict(report)) if as_json else show("\n".join(report_lines(report)))
    if report.run.stopped:
        raise typer.Exit(130)


def _calibrate(options: CalibrationOptions, as_json: bool) -> None:
    from lrs2m_builder.engines import engine_module
    from lrs2m_builder.verify.calibrate import calibrate_judge

    measured = calibrate_judge(options, engine_module(options.engine))
    if as_json:
        print_json({"path": str(options.out), "kinds": {kind: asdict(one) for kind, one in measured.items()}})
        return
    lines = [
        f"{'kind':<10}{'true':>7}{'false':>7}{'AUROC':>8}{'scene':>8}{'right':>8}{'yes':>14}{'ECE':>8}{'below':>8}{'found':>8}"
    ]
    for kind, one in measured.items():
        scene = "" if one.prior_auroc is None else f"{one.prior_auroc:.3f}"
        yes = f"{one.yes_true:.2f} / {one.yes_false:.2f}"
        lines.append(
            f"{kind:<10}{one.num_true:>7,}{one.num_false:>7,}{one.auroc:>8.3f}{scene:>8}{one.balanced_accuracy:>8.3f}"
            f"{yes:>14}{one.ece:>8.3f}{one.threshold:>8.3f}{one.found:>8.3f}"
        )
    lines += [
        "scene: AUROC of the scene class, without the image; right: balanced accuracy; yes: to true / false claims;",
        f"below: the threshold that loses {options.lost:.0%} of the true claims (0: too weak a judge); "
        "found: false claims below it",
        f"{options.out}: thresholds for --threshold and lrs2m build --verify-threshold",
    ]
    show("\n".join(lines))


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
    if run.num_written or run.num_by_rules:
        lines.append(
            f"  claims of {run.num_written:,} texts written by the model, of {run.num_by_rules:,} by the rules, as it "
            f"wrote no list; {run.num_invented:,} statements dropped that no sentence holds"
        )
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
            "; the claims of an image shared nothing of what was computed, which makes them several times dearer: see "
            "Cost in docs/verify.md"
        )
    return f", {share:.0%} of the prompt tokens computed before for another claim"
