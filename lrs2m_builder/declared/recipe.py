"""Recipes: how a subset's texts are made, as a list of steps."""

from __future__ import annotations

import hashlib
import importlib.util
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import chain
from pathlib import Path
from typing import Any, Literal

from lrs2m_builder.checks import Check, Level, every_check, override_levels
from lrs2m_builder.declared.manifest import Manifest
from lrs2m_builder.declared.prompt import Prompt, load_prompt
from lrs2m_builder.declared.shipped import find
from lrs2m_builder.errors import UserError, not_among
from lrs2m_builder.exchange import Role
from lrs2m_builder.schema import CaptionColumn, Sample

Variables = Callable[[Sample, Manifest], Mapping[str, Any]]
Needs = Literal["captions", "caption_long", "anchors"]


@dataclass(frozen=True, slots=True)
class Step:
    """One question to a model and the caption column its answer fills.

    Attributes:
        prompt: name of a shipped prompt, or a path (a file beside the recipe is found first).
        role: "mllm" sees the image, "llm" is text only.
        other_prompts: prompts of the further texts of an image, in turn with `prompt` (`lrs2m build --texts`).
        variables: the template's variables for a sample, beside the captions written so far and `problem`.
    """

    prompt: str
    role: Role
    writes: CaptionColumn
    variables: Variables
    checks: tuple[Check, ...]
    sampling: Mapping[str, Any] = field(default_factory=dict)
    other_prompts: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Recipe:
    """A recipe as its file declares it; the file ends with `RECIPE = Recipe(...)`.

    Attributes:
        reads: fields of a sample that must not be empty.
        given: caption columns that come from the source; the others are written by steps.
        given_checks: checks of the texts from the source; they cannot be asked for again, so an error rejects.
        prompts, sha256: one prompt per step, and the hash of the recipe's file; `load_recipe` fills them in.
        other_prompts: the other prompts of each step, likewise; empty if no step has any.
    """

    name: str
    version: int
    reads: tuple[Needs, ...]
    given: tuple[CaptionColumn, ...]
    steps: tuple[Step, ...]
    given_checks: Mapping[CaptionColumn, tuple[Check, ...]] = field(default_factory=dict)
    prompts: tuple[Prompt, ...] = ()
    sha256: str = ""
    other_prompts: tuple[tuple[Prompt, ...], ...] = ()

    def prompt(self, step: int, text_number: int) -> Prompt:
        """The prompt of a step for one of several texts of an image: the step's prompts in turn."""
        prompts = (self.prompts[step], *(self.other_prompts[step] if self.other_prompts else ()))
        return prompts[text_number % len(prompts)]

    @property
    def num_long_steps(self) -> int:
        """Number of steps up to the last that writes the long text; 0 if none does."""
        return max((n for n, step in enumerate(self.steps, 1) if step.writes == "caption_long"), default=0)

    def with_settings(self, levels: Mapping[str, Level], sampling: Mapping[str, Any]) -> Recipe:
        """The recipe with other check levels and sampling parameters.

        A check that is named in `levels` and that the recipe does not have joins those of every text.

        Raises:
            UserError: there is no check of a name.
        """
        known, missing = every_check(), sorted(levels.keys() - {*self.check_names, "all"})
        if unknown := [name for name in missing if name not in known]:
            raise UserError(f"no check {unknown[0]!r}{not_among(unknown[0], sorted({*self.check_names, *known}))}")
        others = tuple(known[name] for name in missing)
        steps = tuple(
            replace(
                step, checks=override_levels((*step.checks, *others), levels), sampling={**step.sampling, **sampling}
            )
            for step in self.steps
        )
        columns = self.given if others else self.given_checks
        given = {column: override_levels((*self.given_checks.get(column, ()), *others), levels) for column in columns}
        return replace(self, steps=steps, given_checks=given)

    @property
    def check_names(self) -> list[str]:
        """Names of all checks, sorted."""
        of_steps = (check for step in self.steps for check in step.checks)
        return sorted({check.name for check in chain(of_steps, *self.given_checks.values())})


def load_recipe(name: str) -> Recipe:
    """Load a shipped recipe by name or the user's own by path, with its prompts.

    Raises:
        UserError: no such recipe or prompt, the file fails or ends without a RECIPE, or a prompt does not fit its step.
    """
    path = find("recipes", name)
    spec = importlib.util.spec_from_file_location(f"lrs2m_recipe_{path.stem}", path)
    if spec is None or spec.loader is None:
        raise UserError(f"{path}: not a Python file")
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look up their module there
    try:
        spec.loader.exec_module(module)
    except (Exception, SystemExit) as error:
        raise UserError(f"{path}: {type(error).__name__}: {error}") from error
    recipe = getattr(module, "RECIPE", None)
    if not isinstance(recipe, Recipe):
        raise UserError(f"{path}: a recipe file ends with RECIPE = Recipe(...)")
    if not isinstance(recipe.steps, tuple) or not all(isinstance(step, Step) for step in recipe.steps):
        raise UserError(f"{path}: steps must be a tuple of Step; write a single step as (Step(...),)")
    prompts = tuple(_fitting_prompt(path, step, step.prompt) for step in recipe.steps)
    others = tuple(tuple(_fitting_prompt(path, step, name) for name in step.other_prompts) for step in recipe.steps)
    made_from = recipe.sha256.encode()  # of the loaded recipe that the file changes, if it does
    sha256 = hashlib.sha256(made_from + path.read_bytes()).hexdigest()
    return replace(recipe, prompts=prompts, other_prompts=others if any(others) else (), sha256=sha256)


def _fitting_prompt(path: Path, step: Step, name: str) -> Prompt:
    prompt = load_prompt(name, beside=path.parent)
    if step.role == "mllm" and not prompt.has_image:
        raise UserError(
            f"{path}: prompt {prompt.name} has no {{{{ image }}}}, but its step is for a model that sees the image"
        )
    if step.role == "llm" and prompt.has_image:
        raise UserError(f"{path}: prompt {prompt.name} has {{{{ image }}}}, but its step is text only")
    return prompt
