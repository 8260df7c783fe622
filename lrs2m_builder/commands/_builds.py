"""Runs the builds of `lrs2m build`: one, or those of a settings file one after the other."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import typer

from lrs2m_builder.build.build_file import (
    KEYS,
    BuildSettings,
    kept_command,
    read_build_file,
    validated,
)
from lrs2m_builder.build.calibrate import Prices, calibrate
from lrs2m_builder.build.cluster import parse_cluster
from lrs2m_builder.build.plan import make_plan
from lrs2m_builder.build.prepare import prepare
from lrs2m_builder.build.preview import dry_run, show_prompts
from lrs2m_builder.build.replicas import Replicas
from lrs2m_builder.build.report import Report
from lrs2m_builder.build.run import build
from lrs2m_builder.commands import print_json
from lrs2m_builder.commands._build_text import plan_text, report_text
from lrs2m_builder.commands._data_dir import default_data_dir
from lrs2m_builder.engines import engine_module, price_share
from lrs2m_builder.engines._options import parse_options
from lrs2m_builder.errors import Stopped, UserError
from lrs2m_builder.stores.holding import Part
from lrs2m_builder.terminal import say, show
from lrs2m_builder.verify.verdicts import parse_thresholds

if TYPE_CHECKING:
    from lrs2m_builder.build.options import BuildOptions


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFlags:
    """What concerns this run alone and stands in no settings file.

    Attributes:
        show_prompts, calibrate: numbers of samples; 0 for none.
    """

    dry_run: bool = False
    show_prompts: int = 0
    calibrate: int = 0
    prices: Prices | None = None
    part: Part | None = None
    retry_rejected: bool = False
    restart: bool = False
    as_json: bool = False


def settings_of(context: typer.Context, file: str | None, resume: str | None) -> tuple[list[BuildSettings], bool]:
    """The settings of each build: from the command line, over those of a settings file or of an earlier build.

    Returns:
        The settings, and whether the file lists several builds.

    Raises:
        UserError: something is missing, unknown, of the wrong kind or contradictory.
    """
    flags = _typed(context)
    if resume is not None:
        if file is not None or "out" in flags:
            raise UserError("--resume OUT needs neither a settings file nor --out: it takes both from OUT")
        found = kept_command(resume)
    elif file is not None:
        found = read_build_file(file)
    else:
        return [validated(flags, "")], False
    settings, notes = found.with_flags(flags)
    for note in notes:
        say(note)
    return settings, found.is_list


def _typed(context: typer.Context) -> dict[str, Any]:
    """The options that were typed, as a settings file writes them."""
    typed: dict[str, Any] = {}
    for key in KEYS:
        source = context.get_parameter_source(key)
        if source is not None and source.name == "COMMANDLINE":
            value = context.params[key]
            typed[key] = str(value) if key in ("data_dir", "scratch") else value
    for key in ("engine_option", "sampling"):
        if key in typed:
            typed[key] = parse_options(f"--{key.replace('_', '-')}", typed[key])
    if "check" in typed:
        typed["check"] = dict(_name_and_value(pair) for pair in typed["check"])
    if pairs := typed.get("verify_threshold"):
        thresholds = parse_thresholds(pairs, "--verify-threshold")
        has_file = any(pair.endswith(".json") for pair in pairs)
        typed["verify_threshold"] = thresholds if has_file else dict(map(_name_and_value, pairs))
    return typed


def _name_and_value(pair: str) -> tuple[str, str]:
    name, _, value = pair.partition("=")
    return name, value


def run_one(settings: BuildSettings, run: RunFlags) -> int:
    """Run a build, or show its plan; returns the exit code.

    Raises:
        UserError, Stopped: as `build`.
    """
    options = _options(settings, run)
    if run.dry_run or run.show_prompts:
        plan = _plan(options, run)
        print_json(plan) if run.as_json else show(plan_text(plan))
        return 0
    report = _build(settings, options)
    print_json(asdict(report)) if run.as_json else show(report_text(report))
    return _code(report, settings)


def run_all(settings: Sequence[BuildSettings], run: RunFlags) -> int:
    """Run builds one after the other, and show a table of them; returns the exit code.

    A build that fails does not keep the next ones from being built; a signal ends them all.

    Raises:
        UserError: a recipe, source or check of one of them does not exist; nothing is built.
    """
    if run.part is not None:
        raise UserError("--part: not with a file of several builds; give the parts of one build at a time")
    every = [_options(one, run) for one in settings]
    for options in every:
        make_plan(options)
    results: list[dict[str, Any]] = []
    codes: set[int] = set()
    for number, (one, options) in enumerate(zip(settings, every, strict=True), 1):
        say(f"build {number} of {len(every)}: {one.recipe} of {one.source} to {one.out}")
        try:
            if run.dry_run or run.show_prompts:
                results.append(_plan(options, run))
            else:
                report = _build(one, options)
                results.append(asdict(report))
                codes.add(_code(report, one))
        except UserError as error:
            say(f"error: {one.out}: {error}")
            results.append({"out": one.out, "error": str(error)})
            codes.add(2)
        except (Stopped, KeyboardInterrupt):
            results.append({"out": one.out, "stopped": True})
            codes.add(130)
        if 130 in codes:
            break
    results += [{"out": one.out, "begun": False} for one in settings[len(results) :]]
    if run.as_json:
        print_json({"builds": results})
    else:
        plans = [plan_text(result) for result in results if "steps" in result]
        show("\n\n".join([*plans, _table([one.out for one in settings], results)]))
    return next((code for code in (130, 2, 3) if code in codes), 0)


def _options(settings: BuildSettings, run: RunFlags) -> BuildOptions:
    return settings.options(
        default_data_dir(settings.source), part=run.part, retry_rejected=run.retry_rejected, restart=run.restart
    )


def _plan(options: BuildOptions, run: RunFlags) -> dict[str, Any]:
    """The plan of a build, with prompts and a forecast if they are asked for."""
    module = engine_module(options.engine)
    prepared = prepare(options, module, needs_model=run.dry_run)
    plan: dict[str, Any] = {**dry_run(prepared), "price_share": price_share(module)}
    if run.show_prompts:
        plan["prompts"] = show_prompts(prepared, module, run.show_prompts)
    if run.calibrate:
        plan["forecast"] = asdict(calibrate(prepared, module, run.calibrate, run.prices))
    return plan


def _build(settings: BuildSettings, options: BuildOptions) -> Report:
    module = engine_module(options.engine)
    cluster = parse_cluster(settings.replicas, settings.ray_address, options.stall_minutes, options)
    if cluster is None:
        return build(options, module)
    with Replicas(cluster, module) as replicas:
        return build(options, replicas)


def _code(report: Report, settings: BuildSettings) -> int:
    """The exit code of a build."""
    if report.stopped:
        return 130
    if report.reject_rate <= settings.max_reject_rate:
        return 0
    say(
        f"{report.reject_rate:.0%} of the samples were rejected, more than --max-reject-rate "
        f"{settings.max_reject_rate:g}; {report.out_dir}/rejected says why"
    )
    return 3


def _table(outs: Sequence[str], results: Sequence[dict[str, Any]]) -> str:
    """A line per build: what it came to."""
    width = max(map(len, outs))
    return "\n".join(f"{out:<{width}}  {_outcome(result)}" for out, result in zip(outs, results, strict=True))


def _outcome(result: dict[str, Any]) -> str:
    if "error" in result:
        return f"failed   {result['error']}"
    if "steps" in result:
        return f"planned  {result['samples']} samples, {result['samples_left']} to do"
    if result.get("begun") is False:
        return "waiting  not begun; run the same command again"
    if "records" not in result:
        return "stopped  while it started; run the same command again"
    counts = f"{result['records']} records, {sum(result['rejections'].values())} rejections"
    return f"stopped  {counts} so far; run the same command again" if result["stopped"] else f"built    {counts}"
