"""What every sample of a build goes through: recipe, manifest, models, and the passes over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.declared.manifest import Manifest, load_manifest
from lrs2m_builder.declared.recipe import Recipe, load_recipe
from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Role


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """What every sample of a build goes through.

    Attributes:
        models: for each step, the (name, revision) of the model that answers it.
        max_attempts: how often a step of one sample is asked at most.
        system: the system prompt of every request; empty for none.
        seed: of the run; a request's own seed follows from it, the sample's id, the step and the attempt.
    """

    recipe: Recipe
    manifest: Manifest
    models: tuple[tuple[str, str], ...]
    engine: str
    max_attempts: int
    seed: int
    system: str = ""


@dataclass(frozen=True, slots=True)
class Pass:
    """Neighbouring steps of a recipe that share a model: one engine answers them.

    Attributes:
        role: "mllm" if the engine must see images.
        samplings: the sampling parameters of each step.
        is_last: whether every sample has come to its end after it.
    """

    steps: range
    model: str
    role: Role
    samplings: tuple[Mapping[str, Any], ...]
    is_last: bool


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


def make_passes(recipe: Recipe, models: Sequence[str]) -> tuple[Pass, ...]:
    """The passes of a recipe.

    Args:
        models: the name of the model of each step.
    """
    passes = []
    for model, group in groupby(range(len(models)), key=models.__getitem__):
        numbers = list(group)
        steps = [recipe.steps[number] for number in numbers]
        passes.append(
            Pass(
                steps=range(numbers[0], numbers[-1] + 1),
                model=model,
                role="mllm" if any(step.role == "mllm" for step in steps) else "llm",
                samplings=tuple(step.sampling for step in steps),
                is_last=numbers[-1] + 1 == len(models),
            )
        )
    return tuple(passes)


def model_names(options: BuildOptions, plan: BuildPlan) -> list[str]:
    """The model of each step: the one that the options name, or the manifest's.

    Raises:
        UserError: neither names one.
    """
    of_role: dict[Role, str | None] = {"mllm": plan.manifest.models.mllm, "llm": plan.manifest.models.llm}
    names = []
    for step in plan.recipe.steps:
        if not (name := options.model or of_role[step.role]):
            raise UserError(f"--model: manifest {options.source} names no {step.role} model; give one")
        names.append(name)
    return names
