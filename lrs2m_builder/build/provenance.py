"""The inputs of a build: the settings, files and samples by which build.json identifies it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.build.plan import BuildPlan
from lrs2m_builder.build.requests import used_prompts
from lrs2m_builder.build.settings import file_fingerprint
from lrs2m_builder.build.stages import unusable
from lrs2m_builder.checks import talk
from lrs2m_builder.declared.prompt import load_prompt
from lrs2m_builder.declared.recipe import Recipe
from lrs2m_builder.engines._base import EngineModule
from lrs2m_builder.schema import Sample
from lrs2m_builder.sources import Source
from lrs2m_builder.sources._resolve import PARTS
from lrs2m_builder.verify.decide import VerifySettings
from lrs2m_builder.verify.judge import PROMPT, judge_settings


def _model_setting(name: str, revision: str) -> dict[str, str]:
    """The identity of a model: name and commit on the Hub, or the content of a local folder, wherever it is."""
    return {"name": "(folder)" if revision.startswith("sha256:") else name, "revision": revision}


def _asks_talk_model(recipe: Recipe) -> bool:
    checks = [check for step in recipe.steps for check in step.checks]
    checks += [check for given in recipe.given_checks.values() for check in given]
    return any(check.name in talk.NAMES for check in checks)


def settings_of(options: BuildOptions, plan: BuildPlan, module: EngineModule) -> dict[str, Any]:
    """The settings that determine what a build writes, without those of its source."""
    recipe, steps = plan.recipe, plan.recipe.steps
    return {
        "subset": plan.manifest.name,
        "manifest": plan.manifest.sha256,
        "recipe": {"name": f"{recipe.name}.v{recipe.version}", "sha256": recipe.sha256},
        "prompts": {prompt.name: prompt.sha256 for prompt in used_prompts(plan)},
        "checks": [{check.name: check.level for check in step.checks} for step in steps],
        **({"talk_weights": talk.weights_sha256()} if _asks_talk_model(recipe) else {}),
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
        **({"verify": _verify_settings(plan.verify)} if plan.verify else {}),
        **({"texts": plan.texts} if plan.texts > 1 else {}),
    }


def _verify_settings(verify: VerifySettings) -> dict[str, Any]:
    judge = {"mode": verify.mode, "thresholds": dict(sorted(verify.thresholds.items()))}
    return judge | {"model": _model_setting(*verify.judge)} | judge_settings(load_prompt(PROMPT))


def first_usable(plan: BuildPlan, samples: Iterable[Sample]) -> Sample | dict[str, tuple[int, str]]:
    """The first usable sample, for testing the prompts; without one the counts by reason, each with a first detail."""
    problems: dict[str, tuple[int, str]] = {}
    for sample in samples:
        if not (problem := unusable(plan, sample)):
            return sample
        count, detail = problems.get(problem[0], (0, problem[1]))
        problems[problem[0]] = (count + 1, detail)
    return problems


def files_say_all(source: Source, recipe: Recipe) -> bool:
    """Whether the files' hashes determine every sample: two joined text files."""
    if recipe.steps or source.joined is None:
        return False
    return all(_is_hashed(path) for path in (*source.annotations, *source.joined.annotations))


def fingerprints(source: Source) -> dict[str, Any]:
    """Name, size and hash of each text file; only the name of folders and of files with images.

    The texts of the latter are hashed with the samples; their images may be hundreds of gigabytes.
    """

    def of(path: Path) -> dict[str, Any]:
        return file_fingerprint(path) if _is_hashed(path) else {"name": path.name}

    joined = source.joined and [of(path) for path in source.joined.annotations]
    places = {"places": [of(path) for path in source.places.files]} if source.places.files else {}
    return {"annotations": [of(path) for path in source.annotations], "joined": joined, **places}


def _is_hashed(path: Path) -> bool:
    return not path.is_dir() and path.suffix not in PARTS
