"""The plan of a build: recipe, manifest, models, and the passes of the engines."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any

from lrs2m_builder.build.options import BuildOptions
from lrs2m_builder.declared.manifest import Manifest, load_manifest
from lrs2m_builder.declared.recipe import Recipe, Step, load_recipe
from lrs2m_builder.errors import UserError
from lrs2m_builder.exchange import Role
from lrs2m_builder.verify.decide import VerifySettings

JUDGE = -1  # among the numbers of steps: an answer is held against the image


@dataclass(frozen=True, slots=True)
class BuildPlan:
    """The settings that apply to every sample of a build.

    Attributes:
        models: for each step, the (name, revision) of the model that answers it.
        max_attempts: maximum number of requests per step and sample.
        system: the system prompt of every request; empty for no system prompt.
        texts: number of long texts per image.
        verify: how the answers of models that see the image are compared with it; None if they are not.
        seed: of the run; a request's own seed follows from it, the sample's id, the step and the attempt.
    """

    recipe: Recipe
    manifest: Manifest
    models: tuple[tuple[str, str], ...]
    engine: str
    max_attempts: int
    seed: int
    system: str = ""
    verify: VerifySettings | None = None
    texts: int = 1

    def verifies(self, step: Step) -> bool:
        """Whether the answers of a step are held against the image."""
        return self.verify is not None and step.role == "mllm"


@dataclass(frozen=True, slots=True)
class Pass:
    """The work of one engine over all shards, before the next engine starts.

    Attributes:
        number: its position among the passes of a build, from 0.
        steps: the consecutive steps of the recipe with its model; empty for a judge with another model.
        model: "" for a pass that sends no requests and only writes the shards.
        role: "mllm" if the engine must see images.
        samplings: the sampling parameters of each step.
        judges: whether it compares answers with the images.
        flag: the option that names its model.
        is_last: whether every sample is finished after it.
    """

    number: int
    steps: range
    model: str
    role: Role
    samplings: tuple[Mapping[str, Any], ...] = ()
    judges: bool = False
    flag: str = "--model"
    is_last: bool = False

    @property
    def answers(self) -> frozenset[int]:
        """The numbers of the steps it answers, and JUDGE if it judges."""
        return frozenset({*self.steps, JUDGE} if self.judges else self.steps)


def make_plan(options: BuildOptions) -> BuildPlan:
    """The plan for the options; the models are not yet located.

    Raises:
        UserError: no such recipe, prompt or manifest, or an unusable one.
    """
    recipe = load_recipe(options.recipe).with_settings(options.checks, options.sampling)
    if options.texts > 1:
        _check_texts(recipe, options.texts)
    return BuildPlan(
        recipe=recipe,
        manifest=load_manifest(options.source),
        models=(),
        engine=options.engine,
        max_attempts=options.max_attempts,
        seed=options.seed,
        system=options.system,
        texts=options.texts,
    )


def _check_texts(recipe: Recipe, texts: int) -> None:
    """Check that a recipe can write several different long texts of an image.

    Raises:
        UserError: it cannot.
    """
    if not recipe.num_long_steps:
        raise UserError(f"--texts {texts}: recipe {recipe.name} asks no model for a long text, so there is only one")
    steps = recipe.steps[: recipe.num_long_steps]
    num_prompts = len(steps[-1].other_prompts) + 1
    if num_prompts < texts and all(step.sampling.get("temperature") == 0 for step in steps):
        raise UserError(
            f"--texts {texts}: at temperature 0 a prompt has one answer, and recipe {recipe.name} has "
            f"{num_prompts}; add --sampling temperature=0.7"
        )


def make_passes(plan: BuildPlan, models: Sequence[str], judge: str | None) -> tuple[Pass, ...]:
    """The passes of a build.

    A judge with another model alternates with the answering model, once per attempt.

    Args:
        models: model name of each step.
        judge: name of the model that compares answers with the images; None if they are not compared.
    """
    steps, passes = plan.recipe.steps, list[Pass]()
    for model, group in groupby(range(len(models)), key=models.__getitem__):
        numbers = list(group)
        role: Role = "mllm" if any(steps[number].role == "mllm" for number in numbers) else "llm"
        span = range(numbers[0], numbers[-1] + 1)
        asking = Pass(0, span, model, role, tuple(steps[number].sampling for number in numbers))
        if judge is None or role == "llm":
            passes.append(asking)
        elif judge == model:
            passes.append(replace(asking, judges=True))
        else:
            passes += [asking, Pass(0, range(0), judge, "mllm", judges=True, flag="--verify-model")] * plan.max_attempts
            if any(steps[number].role == "llm" for number in numbers):
                passes.append(asking)  # its text-only steps read what was judged
    if passes and passes[-1].judges and not passes[-1].steps:
        passes.append(Pass(0, range(0), "", "llm"))
    last = len(passes) - 1
    return tuple(replace(one, number=number, is_last=number == last) for number, one in enumerate(passes))


def model_names(options: BuildOptions, plan: BuildPlan) -> list[str]:
    """The model of each step: from the options, or the manifest.

    Raises:
        UserError: neither names a model.
    """
    of_role: dict[Role, str | None] = {"mllm": plan.manifest.models.mllm, "llm": plan.manifest.models.llm}
    names = []
    for step in plan.recipe.steps:
        if not (name := options.model or of_role[step.role]):
            raise UserError(f"--model: manifest {options.source} names no {step.role} model; give one")
        names.append(name)
    return names


def judge_name(options: BuildOptions, plan: BuildPlan, models: Sequence[str]) -> str | None:
    """The model that answers are held against the images by; None if they are not.

    Raises:
        UserError: the recipe asks no model that sees the image.
    """
    if options.verify == "off":
        if options.verify_model or options.thresholds:
            raise UserError("--verify-model and --verify-threshold need --verify warn, ask or cut")
        return None
    for step, model in zip(plan.recipe.steps, models, strict=True):
        if step.role == "mllm":
            return options.verify_model or model
    raise UserError(
        f"--verify: no step of recipe {plan.recipe.name} sees the image; "
        "build without it, then hold the finished texts against the images by lrs2m verify"
    )
