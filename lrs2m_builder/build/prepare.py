"""A build before it asks anything: every setting checked, the source read, the plan made."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lrs2m_builder.build.commit import Shard
from lrs2m_builder.build.options import BuildOptions, open_out
from lrs2m_builder.build.plan import BuildPlan, Pass, judge_name, make_passes, make_plan, model_names
from lrs2m_builder.build.plan_file import Origin, Plan, find_plan, write_plan
from lrs2m_builder.build.prompt_lint import lint_prompts
from lrs2m_builder.build.provenance import files_say_all, first_usable, settings_of
from lrs2m_builder.build.requests import first_requests
from lrs2m_builder.build.settings import BUILD_JSON, settings_hash
from lrs2m_builder.declared.recipe import Recipe
from lrs2m_builder.engines._base import EngineModule
from lrs2m_builder.errors import MissingExtraError, ModelNotHereError, UserError, flag_named
from lrs2m_builder.exchange import Request
from lrs2m_builder.schema import Sample
from lrs2m_builder.sources import annotation_files, named, open_source
from lrs2m_builder.stores._base import Store, writer_name
from lrs2m_builder.verify.decide import VerifySettings
from lrs2m_builder.verify.judge import check_engine_options, trial_request
from lrs2m_builder.verify.verdicts import thresholds_for


@dataclass(frozen=True, slots=True)
class Prepared:
    """A build whose settings were checked and whose source was read, before any model is asked.

    Attributes:
        store: where the build is written.
        samples_plan: the samples, and what they were read from.
        num_samples: of the source, after the limit.
        settings: what build.json holds.
        lint: what should be changed in the prompts.
        every: keep one sample in `every`.
        has_model: whether the models' files are here; without them prompts can only be shown.
    """

    options: BuildOptions
    store: Store
    plan: BuildPlan
    samples_plan: Plan
    num_samples: int
    passes: tuple[Pass, ...]
    settings: dict[str, Any]
    lint: tuple[str, ...] = ()
    every: int = 1
    has_model: bool = True

    @property
    def subset(self) -> str:
        """The subset's name, a part of every path and sample id."""
        return self.plan.manifest.name

    @property
    def embed_images(self) -> bool:
        """Whether rows hold the bytes of their images."""
        return self.options.images == "embed"

    @property
    def num_shards(self) -> int:
        """Shards the samples fill."""
        return -(-self.num_samples // self.options.shard_size)

    def every_shard(self) -> Iterator[tuple[Shard, int]]:
        """The shards and how many samples each holds; the source is not read again."""
        size, build = self.options.shard_size, settings_hash(self.settings)
        for index in range(self.num_shards):
            yield Shard(self.store, self.subset, index, build), min(size, self.num_samples - index * size)

    def shards(self) -> Iterator[tuple[Shard, int]]:
        """Those of the part that this run builds; all without parts."""
        number, count = self.options.part or (1, 1)
        return (each for each in self.every_shard() if each[0].index % count == number - 1)

    @property
    def num_mine(self) -> int:
        """Number of samples of the part that this run builds."""
        return sum(length for _, length in self.shards())

    @property
    def label(self) -> str:
        """The subset, and the part of it that this run builds."""
        return f"{self.subset} part {'/'.join(map(str, self.options.part))}" if self.options.part else self.subset

    @property
    def telemetry(self) -> str:
        """The name of the file of this run's rates; every part has its own."""
        if self.store.folder is None:
            return f"telemetry/{writer_name()}.jsonl"
        return "telemetry/part-{}-of-{}.jsonl".format(*self.options.part) if self.options.part else "telemetry.jsonl"

    def samples(self) -> Iterator[Sample]:
        """The samples, in the order of the source."""
        return self.samples_plan.file.pick(range(0, self.num_samples * self.every, self.every))

    def samples_of(self, index: int) -> list[Sample]:
        """The samples of a shard, in the order of the source."""
        size = self.options.shard_size
        last = min((index + 1) * size, self.num_samples)
        return list(self.samples_plan.file.pick(range(index * size * self.every, last * self.every, self.every)))

    def with_kept_plan(self) -> Prepared:
        """The same build with its plan in its folder, where worker processes can read it."""
        return replace(self, samples_plan=self.samples_plan.keep(self.store))


def prepare(options: BuildOptions, module: EngineModule, *, needs_model: bool = True) -> Prepared:
    """Check every setting, read the source, and prove that the model's chat template keeps the prompts whole.

    Args:
        needs_model: False where prompts are only to be shown: without the model's files they are shown as they are.

    Raises:
        UserError: a setting, a file or the model cannot be used.
    """
    plan = make_plan(options)
    recipe, manifest = plan.recipe, plan.manifest
    if options.data_dir is None:
        raise UserError(f"--data-dir: source {manifest.name} needs its folder. {manifest.get}")
    store = open_out(options)
    origin = Origin(manifest, options.data_dir, options.limit, options.shard_size)
    found = None if options.restart or options.retry_rejected else find_plan(store, origin)
    source = None if found else open_source(manifest, options.data_dir)
    names = model_names(options, plan)
    judge = judge_name(options, plan, names)
    passes = make_passes(plan, names, judge)
    lint = _check_engine(options, module, passes)
    try:
        models = {name: module.find(name, options.engine_options) for name in names}
        if judge and judge not in models:
            with flag_named("--model", "--verify-model"):
                models[judge] = module.find(judge, options.engine_options)
        has_model = True
    except (MissingExtraError, ModelNotHereError) as error:
        if needs_model:
            raise
        lint.append(f"{error}; so the prompts are shown without the model's chat template, and not proved")
        models, has_model = {name: (name, "") for name in {*names, judge} if name is not None}, False
    plan = replace(plan, models=tuple(models[name] for name in names))
    if judge and options.verify != "off":
        verify = VerifySettings(options.verify, thresholds_for(judge, options.thresholds), models[judge])
        plan = replace(plan, verify=verify)
    if source is not None:
        found = write_plan(origin, source, store.folder or store.scratch, with_hash=not files_say_all(source, recipe))
    assert found is not None
    samples = found.file.samples
    if not samples["number"]:
        split = f" in split {manifest.split!r}" if manifest.split else ""
        raise UserError(f"{named(annotation_files(manifest, options.data_dir))}: no samples{split}")
    usable = first_usable(plan, found.file.pick(range(samples["number"])))
    if isinstance(usable, Sample):
        requests = first_requests(plan, usable)
        lint += lint_prompts(plan, usable)
        lint += _prove(options, module, passes, requests) if has_model else ()
    elif store.find(BUILD_JSON) is None:  # a build that was begun may go on without its images
        counts = ", ".join(f"{count} {reason} (such as: {detail})" for reason, (count, detail) in usable.items())
        raise UserError(
            f"{options.source}: none of its {samples['number']} samples can be used: unusable {counts}"
            f"{_what_it_reads(recipe)}"
        )
    settings = {**settings_of(options, plan, module), **found.fingerprints, "samples": samples}
    return Prepared(options, store, plan, found, samples["number"], passes, settings, tuple(lint), has_model=has_model)


def _check_engine(options: BuildOptions, module: EngineModule, passes: Sequence[Pass]) -> list[str]:
    """Hold options and sampling parameters against the engine; what could not be told, a line each.

    Without the engine's packages a build can still be planned, on a machine that will not run it.
    """
    for one in filter(lambda one: one.model, passes):
        if one.judges:
            check_engine_options(options.engine, options.engine_options)
        try:
            with flag_named("--model", one.flag):
                module.check(one.model, one.role, options.engine_options, one.samplings)
        except MissingExtraError as error:
            return [f"{error}; until then --engine-option and --sampling are not checked, and no build can run"]
    return []


def _prove(
    options: BuildOptions,
    module: EngineModule,
    passes: Sequence[Pass],
    requests: Sequence[Request],
) -> list[str]:
    """Render the first request of every step by its model's chat template; what the user should know, a line each.

    Raises:
        UserError: a template cannot be used.
    """
    notes = []
    for one in filter(lambda one: one.model, passes):
        try:
            with flag_named("--model", one.flag):
                preview = module.preview(one.model, one.role, options.engine_options)
        except MissingExtraError as error:
            return [f"{error}; until then the prompts are not proved against the model's chat template"]
        asked = [request for request in requests if request.step in one.steps]
        asked += [trial_request()] if one.judges else []
        with flag_named("--model", one.flag):
            notes += [note for request in asked for note in preview.prove(request)]
    return list(dict.fromkeys(notes))


def _what_it_reads(recipe: Recipe) -> str:
    if not recipe.reads:
        return ""
    return f"; recipe {recipe.name} reads {' and '.join(recipe.reads)}: take a source that has it, or another recipe"
