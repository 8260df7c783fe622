"""A build before it asks anything: every setting checked, the source read, the plan made."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby, islice
from pathlib import Path
from typing import Any

from lrs2m_builder.build.commit import ShardPaths
from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.prompt_lint import lint_prompts
from lrs2m_builder.build.settings import BUILD_JSON, file_fingerprint, settings_hash
from lrs2m_builder.build.stages import BuildPlan, first_requests, unusable
from lrs2m_builder.declared.manifest import load_manifest
from lrs2m_builder.declared.recipe import Recipe, Step, load_recipe
from lrs2m_builder.engines._base import EngineModule
from lrs2m_builder.errors import MissingExtraError, ModelNotHereError, UserError
from lrs2m_builder.schema import Request, Role, Sample
from lrs2m_builder.sources import Source, named, open_source, read_samples
from lrs2m_builder.sources._resolve import PARTS


@dataclass(frozen=True, slots=True)
class Prepared:
    """A build whose settings were checked and whose source was read, before any model is asked.

    Attributes:
        num_samples: of the source, after the limit.
        passes: runs of steps that share a model, with the role their engine must have.
        settings: what build.json holds.
        lint: what should be changed in the prompts.
        every: keep one sample in `every`.
        has_model: whether the models' files are here; without them prompts can only be shown.
    """

    options: BuildOptions
    plan: BuildPlan
    source: Source
    num_samples: int
    passes: tuple[tuple[range, str, Role], ...]
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

    def shards(self) -> Iterator[tuple[ShardPaths, int]]:
        """The shards and how many samples each holds; the source is not read again."""
        size, build = self.options.shard_size, settings_hash(self.settings)
        for index in range(self.num_shards):
            paths = ShardPaths(self.options.out_dir, self.subset, index, build)
            yield paths, min(size, self.num_samples - index * size)

    def samples(self) -> Iterator[Sample]:
        """The samples, in the order of the source."""
        return islice(islice(read_samples(self.source), 0, self.options.limit, self.every), self.num_samples)


def make_plan(options: BuildOptions) -> BuildPlan:
    """The plan that the options ask for, its models not yet looked for.

    Raises:
        UserError: no such recipe, prompt or manifest, or one that cannot be used.
    """
    return BuildPlan(
        recipe=load_recipe(options.recipe).with_settings(options.checks, options.sampling),
        manifest=load_manifest(options.source),
        models=(),
        engine=options.engine,
        max_attempts=options.max_attempts,
        seed=options.seed,
        system=options.system,
    )


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
    source = open_source(manifest, options.data_dir)
    check_writable(options.out_dir)
    names = [
        _model_name(options, manifest.models.mllm if s.role == "mllm" else manifest.models.llm, s.role)
        for s in recipe.steps
    ]
    passes = _passes(names, recipe.steps)
    lint = _check_engine(options, module, passes, recipe.steps)
    try:
        models = {name: module.find(name, options.engine_options) for name in dict.fromkeys(names)}
        has_model = True
    except (MissingExtraError, ModelNotHereError) as error:
        if needs_model:
            raise
        lint.append(f"{error}; so the prompts are shown without the model's chat template, and not proved")
        models, has_model = {name: (name, "") for name in names}, False
    plan = replace(plan, models=tuple(models[name] for name in names))
    with ThreadPoolExecutor(1) as pool:
        fingerprints = pool.submit(_fingerprints, source)  # files are hashed while they are read
        known, usable = _known(source, plan, options.limit, with_hash=not _follows_from_files(source, recipe))
    if not known["number"]:
        split = f" in split {manifest.split!r}" if manifest.split else ""
        raise UserError(f"{named(source.annotations)}: no samples{split}")
    if isinstance(usable, Sample):
        requests = first_requests(plan, usable)
        lint += lint_prompts(plan, usable)
        lint += _prove(options, module, passes, requests) if has_model else ()
    elif not (options.out_dir / BUILD_JSON).exists():  # a build that was begun may go on without its images
        counts = ", ".join(f"{count} {reason} (such as: {detail})" for reason, (count, detail) in usable.items())
        raise UserError(
            f"{options.source}: none of its {known['number']} samples can be used: unusable {counts}"
            f"{_what_it_reads(recipe)}"
        )
    settings = {**_settings(options, plan, module), **fingerprints.result(), "samples": known}
    return Prepared(options, plan, source, known["number"], passes, settings, tuple(lint), has_model=has_model)


def _passes(names: Sequence[str], steps: Sequence[Step]) -> tuple[tuple[range, str, Role], ...]:
    """Runs of steps that share a model, with the role their engine must have."""
    passes = []
    for name, group in groupby(range(len(names)), key=lambda i: names[i]):
        numbers = list(group)
        role: Role = "mllm" if any(steps[number].role == "mllm" for number in numbers) else "llm"
        passes.append((range(numbers[0], numbers[-1] + 1), name, role))
    return tuple(passes)


def _check_engine(
    options: BuildOptions, module: EngineModule, passes: Sequence[tuple[range, str, Role]], steps: Sequence[Step]
) -> list[str]:
    """Hold options and sampling parameters against the engine; what could not be told, a line each.

    Without the engine's packages a build can still be planned, on a machine that will not run it.
    """
    for numbers, name, role in passes:
        samplings = [steps[number].sampling for number in numbers]
        try:
            module.check(name, role, options.engine_options, samplings)
        except MissingExtraError as error:
            return [f"{error}; until then --engine-option and --sampling are not checked, and no build can run"]
    return []


def _prove(
    options: BuildOptions,
    module: EngineModule,
    passes: Sequence[tuple[range, str, Role]],
    requests: Sequence[Request],
) -> list[str]:
    """Render the first request of every step by its model's chat template; what the user should know, a line each.

    Raises:
        UserError: a template cannot be used.
    """
    notes = []
    for numbers, name, role in passes:
        try:
            preview = module.preview(name, role, options.engine_options)
        except MissingExtraError as error:
            return [f"{error}; until then the prompts are not proved against the model's chat template"]
        for number in numbers:
            notes += preview.prove(requests[number])
    return list(dict.fromkeys(notes))


def _what_it_reads(recipe: Recipe) -> str:
    if not recipe.reads:
        return ""
    return f"; recipe {recipe.name} reads {' and '.join(recipe.reads)}: take a source that has it, or another recipe"


def check_writable(out_dir: Path) -> None:
    """Check that a folder can be made and written; it is not made.

    Raises:
        UserError: it is a file, lies below one, or cannot be made or written.
    """
    try:
        str(out_dir).encode()  # a Parquet file of another name cannot be written
        there = out_dir.resolve()
        if there.exists() and not there.is_dir():
            raise UserError(f"--out {out_dir}: is a file; give a folder")
        while not there.exists():
            there = there.parent
        if not there.is_dir():
            raise UserError(f"--out {out_dir}: {there} is a file; give a folder")
        # Rights alone do not say it: a mount may be read-only, a disk full, a folder /proc's. A file without a name
        # leaves nothing behind if the process is killed.
        with tempfile.TemporaryFile(dir=there) as file:
            file.write(b"-")
    except UnicodeEncodeError as error:
        raise UserError(f"--out {out_dir}: its name is no UTF-8; give another") from error
    except (OSError, ValueError, RuntimeError) as error:  # of a link that leads to itself, a RuntimeError
        reason = getattr(error, "strerror", None) or str(error)
        raise UserError(f"--out {out_dir}: cannot be written: {reason}; give a folder that can") from error


def _known(
    source: Source, plan: BuildPlan, limit: int | None, *, with_hash: bool
) -> tuple[dict[str, Any], Sample | dict[str, tuple[int, str]]]:
    """What build.json says of the samples, and the first that can be used, by which prompts are tried.

    Where none can be used, the reasons are counted, each with its first detail.

    Args:
        with_hash: say the hash of all that is known of them but their images, beside their number; it is not needed
            where the hashes of text files say it all.
    """
    number, digest = 0, hashlib.sha256()
    usable: Sample | None = None
    problems: dict[str, tuple[int, str]] = {}
    for sample in islice(read_samples(source), limit):
        number += 1
        if usable is None:
            if problem := unusable(plan, sample):
                count, detail = problems.get(problem[0], (0, problem[1]))
                problems[problem[0]] = (count + 1, detail)
            else:
                usable = sample
        if with_hash:
            known = (sample.sample_id, *sample.captions, sample.caption_long, repr(sample.anchors), sample.label)
            digest.update("\x00".join(known).encode("utf-8", "surrogatepass"))
    return {"number": number, **({"sha256": digest.hexdigest()} if with_hash else {})}, usable or problems


def _follows_from_files(source: Source, recipe: Recipe) -> bool:
    """Whether the hashes of the files say all that is known of the samples: two text files that are joined."""
    if recipe.steps or source.joined is None:
        return False
    return all(_is_hashed(path) for path in (*source.annotations, *source.joined.annotations))


def _fingerprints(source: Source) -> dict[str, Any]:
    """Of a text file name, size and hash; of folders and of files that hold images the name.

    The texts of these are hashed with the samples, and their images may be hundreds of gigabytes.
    """

    def of(path: Path) -> dict[str, Any]:
        return file_fingerprint(path) if _is_hashed(path) else {"name": path.name}

    joined = source.joined and [of(path) for path in source.joined.annotations]
    return {"annotations": [of(path) for path in source.annotations], "joined": joined}


def _is_hashed(path: Path) -> bool:
    return not path.is_dir() and path.suffix not in PARTS


def _model_name(options: BuildOptions, of_paper: str | None, role: Role) -> str:
    name = options.model or of_paper
    if not name:
        raise UserError(f"--model: manifest {options.source} names no {role} model; give one")
    return name


def _model_setting(name: str, revision: str) -> dict[str, str]:
    """A model of the Hub by name and commit, one in a folder by its content, wherever the folder is."""
    return {"name": "(folder)" if revision.startswith("sha256:") else name, "revision": revision}


def _settings(options: BuildOptions, plan: BuildPlan, module: EngineModule) -> dict[str, Any]:
    recipe, steps = plan.recipe, plan.recipe.steps
    return {
        "subset": plan.manifest.name,
        "manifest": plan.manifest.sha256,
        "recipe": {"name": f"{recipe.name}.v{recipe.version}", "sha256": recipe.sha256},
        "prompts": {prompt.name: prompt.sha256 for prompt in recipe.prompts},
        "checks": [{check.name: check.level for check in step.checks} for step in steps],
        "given_checks": {
            column: {check.name: check.level for check in checks} for column, checks in recipe.given_checks.items()
        },
        "images": options.images,
        "sampling": [dict(step.sampling) for step in steps],
        "models": [_model_setting(name, revision) for name, revision in plan.models],
        "engine": options.engine,
        "engine_options": {k: v for k, v in options.engine_options.items() if k not in module.PERFORMANCE_OPTIONS},
        "seed": options.seed,
        "max_attempts": options.max_attempts,
        "shard_size": options.shard_size,
        "limit": options.limit,
        **({"system": options.system} if options.system else {}),
    }
