"""`lrs2m build`: the straight line from a manifest to shards, resumable at any moment.

    manifest -> samples -> requests -> completions -> records     -> data/<subset>/train-00000.parquet
                                                   \\-> rejections -> rejected/<subset>/train-00000.parquet

Conservation law, checked at the end: samples read = records + rejections.
"""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from lrs2m_builder.checks import Level
from lrs2m_builder.engines.base import Engine, EngineModule
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import write_json
from lrs2m_builder.journal import Journal
from lrs2m_builder.manifest import load_manifest
from lrs2m_builder.provenance import claim_settings, file_fingerprint, locked, set_aside
from lrs2m_builder.recipe import LoadedRecipe, load_recipe
from lrs2m_builder.runner import Runner, ShardWork
from lrs2m_builder.schema import Role, Sample
from lrs2m_builder.shards import ShardPaths, count_rows, iter_rows, read_rejections, warm_up
from lrs2m_builder.sources import Source, open_source, read_samples
from lrs2m_builder.stages import Plan
from lrs2m_builder.telemetry import Display, Meter, say

DEFAULT_SHARD_SIZE = 2000
DEFAULT_MAX_ATTEMPTS = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """What the user asks for.

    Attributes:
        recipe, source: names of shipped ones or paths to the user's own.
        model: Hub name or folder; None takes the paper's model for the subset from the manifest.
        engine_options, sampling: override the engine's and the recipe's.
        checks: levels by check name; "all" stands for every check not named.
        limit: number of samples read at most, from the first on.
        retry_rejected: ask again for what finished shards rejected.
        restart: set an earlier build in `out_dir` aside and begin anew.
    """

    recipe: str
    source: str
    data_dir: Path
    out_dir: Path
    engine: str = "vllm"
    model: str | None = None
    engine_options: Mapping[str, Any] = field(default_factory=dict)
    sampling: Mapping[str, Any] = field(default_factory=dict)
    checks: Mapping[str, Level] = field(default_factory=dict)
    limit: int | None = None
    shard_size: int = DEFAULT_SHARD_SIZE
    max_attempts: int = DEFAULT_MAX_ATTEMPTS
    seed: int = 0
    retry_rejected: bool = False
    restart: bool = False


@dataclass(frozen=True, slots=True)
class Report:
    """What a build came to.

    Attributes:
        samples, records, rejections: of the whole folder, earlier runs included.
        run: counts and rates of this run alone.
        stopped: whether it was stopped by a signal before all samples came to their end.
    """

    out_dir: str
    subset: str
    recipe: str
    model: str
    samples: int
    records: int
    rejections: dict[str, int]
    shards: int
    stopped: bool
    run: dict[str, Any]

    @property
    def reject_rate(self) -> float:
        """Rejections as a share of the samples."""
        return sum(self.rejections.values()) / self.samples if self.samples else 0.0


@dataclass(frozen=True, slots=True)
class Prepared:
    """A build whose settings were checked and whose source was read, before any model is asked.

    Attributes:
        num_samples: of the source, after the limit.
        passes: runs of steps that share a model, with the role their engine must have.
        settings: what build.json holds.
    """

    options: BuildOptions
    plan: Plan
    source: Source
    num_samples: int
    passes: tuple[tuple[range, str, Role], ...]
    settings: dict[str, Any]

    @property
    def subset(self) -> str:
        """The subset's name, a part of every path and sample id."""
        return self.plan.manifest.name

    @property
    def num_shards(self) -> int:
        """Shards the samples fill."""
        return -(-self.num_samples // self.options.shard_size)

    def shards(self) -> Iterator[tuple[ShardPaths, int]]:
        """The shards and how many samples each holds; the source is not read again."""
        size = self.options.shard_size
        for index in range(self.num_shards):
            yield ShardPaths(self.options.out_dir, self.subset, index), min(size, self.num_samples - index * size)

    def samples(self) -> Iterator[Sample]:
        """The samples, in the order of the source."""
        return islice(read_samples(self.source), self.options.limit)


def prepare(options: BuildOptions, module: EngineModule) -> Prepared:
    """Check every setting and read the source.

    Raises:
        UserError: a setting, a file or the model cannot be used.
    """
    recipe = load_recipe(options.recipe).with_settings(options.checks, options.sampling)
    manifest = load_manifest(options.source)
    source = open_source(manifest, options.data_dir)
    names = [
        _model_name(options, manifest.models.mllm if s.role == "mllm" else manifest.models.llm, s.role)
        for s in recipe.recipe.steps
    ]
    models = {name: module.find(name, options.engine_options) for name in dict.fromkeys(names)}
    plan = Plan(
        recipe=recipe,
        manifest=manifest,
        models=tuple(models[name] for name in names),
        engine=options.engine,
        max_attempts=options.max_attempts,
        seed=options.seed,
    )
    ids: set[str] = set()
    for sample in islice(read_samples(source), options.limit):
        if sample.sample_id in ids:
            raise UserError(f"{source.annotations}: sample id {sample.sample_id!r} occurs twice")
        ids.add(sample.sample_id)
    if not ids:
        raise UserError(
            f"{source.annotations}: no samples" + (f" in split {manifest.split!r}" if manifest.split else "")
        )
    passes = []
    for name, group in groupby(range(len(names)), key=lambda i: names[i]):
        steps = list(group)
        roles = {recipe.recipe.steps[i].role for i in steps}
        role: Role = "mllm" if "mllm" in roles else "llm"
        passes.append((range(steps[0], steps[-1] + 1), name, role))
    settings = _settings(options, plan, source, module)
    return Prepared(options, plan, source, len(ids), tuple(passes), settings)


def build(options: BuildOptions, module: EngineModule) -> Report:
    """Build a subset, or go on with a build that was interrupted.

    Raises:
        UserError: a setting, a file or the model cannot be used, or the folder was built with other settings.
    """
    prepared = prepare(options, module)
    out_dir = options.out_dir
    if options.restart and out_dir.is_dir():
        with locked(out_dir):
            if aside := set_aside(out_dir):
                say(f"the earlier build is now {aside}")
    with locked(out_dir):
        claim_settings(out_dir, prepared.settings)
        meter = Meter()
        stopped = _run_passes(prepared, module, meter)
        report = make_report(prepared, meter, stopped=stopped)
        write_json(out_dir / "report.json", {**{k: getattr(report, k) for k in Report.__slots__}})
    return report


def _run_passes(prepared: Prepared, module: EngineModule, meter: Meter) -> bool:
    """Run every pass that has work; whether a signal stopped it."""
    for paths, _ in prepared.shards():
        if paths.finished:
            paths.journal.unlink(missing_ok=True)  # its shard was renamed, then the process died
    done = sum(length for paths, length in prepared.shards() if paths.finished)
    if not any(_needs_work(prepared, paths) for paths, _ in prepared.shards()):
        return False
    warm_up()
    passes = prepared.passes or ((range(0), "", "llm"),)
    for steps, model, role in passes:
        engine: Engine | None = None
        if steps:
            say(f"starting {prepared.options.engine} on {model} ...")
            engine = module.load(model, role, prepared.options.engine_options)
        meter.start()
        display = Display(prepared.num_samples, done, prepared.subset)
        try:
            runner = Runner(prepared.plan, steps, engine, meter, display)
            stopped = asyncio.run(_run_one(runner, prepared))
        finally:
            display.close()
            if engine is not None:
                engine.close()
        if stopped:
            return True
    return False


async def _run_one(runner: Runner, prepared: Prepared) -> bool:
    """Run a pass; the first SIGINT or SIGTERM drains it, the second drops what is in flight."""
    loop = asyncio.get_running_loop()

    def on_signal() -> None:
        if runner.stopping:
            runner.cancel()
            return
        runner.stop()
        say("stopping: keeping the answers in flight (once more to drop them)")

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        await runner.run(open_works(prepared), prepared.options.out_dir / "telemetry.jsonl")
    except asyncio.CancelledError:
        if not runner.stopping:
            raise
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)
    return runner.stopping


def _needs_work(prepared: Prepared, paths: ShardPaths) -> bool:
    if not paths.finished:
        return True
    if paths.retry_journal.exists():
        return True  # a retry that was interrupted
    return prepared.options.retry_rejected and count_rows(paths)[1].total() > 0


def open_works(prepared: Prepared) -> Iterator[ShardWork]:
    """The shards that need work, opened one after the other."""
    samples = prepared.samples()
    for paths, length in prepared.shards():
        batch = tuple(islice(samples, length))
        if not _needs_work(prepared, paths):
            continue
        order = tuple(sample.sample_id for sample in batch)
        if not paths.finished:
            yield ShardWork(paths, order, batch, Journal(paths.journal))
            continue
        have = {row["sample_id"] for row in iter_rows(paths.data, ["sample_id"])}
        prior = {rejection.sample_id: rejection.attempts for rejection in read_rejections(paths.rejected)}
        rejected = tuple(sample for sample in batch if sample.sample_id not in have)
        yield ShardWork(paths, order, rejected, Journal(paths.retry_journal), prior)


def make_report(prepared: Prepared, meter: Meter, *, stopped: bool) -> Report:
    """Count what the folder holds and check the conservation law: samples = records + rejections."""
    records, rejections, samples, shards = 0, Counter[str](), 0, 0
    for paths, length in prepared.shards():
        if not paths.finished:
            continue
        shard_records, shard_rejections = count_rows(paths)
        if shard_records + shard_rejections.total() != length:
            raise AssertionError(f"{paths.data}: {length} samples, {shard_records} + {shard_rejections} rows")
        records, samples, shards = records + shard_records, samples + length, shards + 1
        rejections += shard_rejections
    if not stopped and samples != prepared.num_samples:
        raise AssertionError(f"{prepared.num_samples} samples read, {samples} in finished shards")
    return Report(
        out_dir=str(prepared.options.out_dir),
        subset=prepared.subset,
        recipe=prepared.settings["recipe"]["name"],
        model=" + ".join(dict.fromkeys(name for name, _ in prepared.plan.models)),
        samples=samples,
        records=records,
        rejections=dict(sorted(rejections.items())),
        shards=shards,
        stopped=stopped,
        run=meter.snapshot(),
    )


def _model_name(options: BuildOptions, of_paper: str | None, role: Role) -> str:
    name = options.model or of_paper
    if not name:
        raise UserError(f"--model: manifest {options.source} names no {role} model; give one")
    return name


def _settings(options: BuildOptions, plan: Plan, source: Source, module: EngineModule) -> dict[str, Any]:
    recipe: LoadedRecipe = plan.recipe
    steps: Sequence[Any] = recipe.recipe.steps
    return {
        "subset": plan.manifest.name,
        "manifest": plan.manifest.sha256,
        "annotations": file_fingerprint(source.annotations),
        "recipe": {"name": f"{recipe.recipe.name}.v{recipe.recipe.version}", "sha256": recipe.sha256},
        "prompts": {prompt.name: prompt.sha256 for prompt in recipe.prompts},
        "checks": [{check.name: check.level for check in step.checks} for step in steps],
        "sampling": [dict(step.sampling) for step in steps],
        "models": [{"name": name, "revision": revision} for name, revision in plan.models],
        "engine": options.engine,
        "engine_options": {k: v for k, v in options.engine_options.items() if k not in module.PERFORMANCE_OPTIONS},
        "seed": options.seed,
        "max_attempts": options.max_attempts,
        "shard_size": options.shard_size,
        "limit": options.limit,
    }
