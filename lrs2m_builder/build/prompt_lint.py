"""Finds problems in the words of a prompt, before any model reads them.

The words are a template's constant text; values from samples, such as published captions, are not checked.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from lrs2m_builder.build.plan import BuildPlan
from lrs2m_builder.build.requests import prompt_variables, step_prompts
from lrs2m_builder.declared.manifest import Manifest
from lrs2m_builder.declared.prompt import Prompt
from lrs2m_builder.declared.recipe import Step
from lrs2m_builder.schema import CaptionColumn, Sample

# RSTeller's prompt says that left is east: an image does not show north, and its top is often not north.
_COMPASS = re.compile(r"\b(?:north|south)[-\s]?(?:east|west)?(?:ern)?\b|\b(?:east|west)(?:ern)?\b", re.IGNORECASE)
_VIEWS = {
    "satellite": re.compile(r"\b(?:satellites?|space-?borne)\b", re.IGNORECASE),
    "aerial": re.compile(r"\b(?:aerial|air-?borne)\b", re.IGNORECASE),
    "drone": re.compile(r"\b(?:drones?|uavs?|unmanned|quadcopters?)\b", re.IGNORECASE),
}
_REWRITES = re.compile(r"\b(?:summari[sz]e|shorten|condense|paraphrase|compress|abridge)\b", re.IGNORECASE)
_LOOKS = re.compile(
    r"\b(?:look\s+at|describe|see|seen\s+in|shown\s+in|visible\s+in)\s+(?:the|this|an?)\s+"
    r"(?:image|picture|photo(?:graph)?|scene)\b(?!\s+(?:caption|description|text))",
    re.IGNORECASE,
)
_FORBIDS = re.compile(r"\b(?:not|never|no|avoid|without|instead\s+of|rather\s+than|don['’]t)\b", re.IGNORECASE)
_SENTENCE_END = re.compile(r"(?<=[.!?:;])\s+|\n+")


def lint_prompts(plan: BuildPlan, sample: Sample) -> list[str]:
    """Problems in the prompts of a build, one per line; they do not stop the build.

    Args:
        sample: any usable sample; it determines the recipe's variables.
    """
    captions: dict[CaptionColumn, str] = {"caption_short": "", "caption_long": ""}
    found = []
    for number, step in enumerate(plan.recipe.steps):
        given = prompt_variables(plan, sample, number, captions).keys()
        for prompt in step_prompts(plan, number):
            findings = (*_unknown(prompt, given), *_directions(prompt), *_viewpoint(prompt, plan.manifest))
            found += [f"prompt {prompt.name}: {finding}" for finding in (*findings, *_image(step, prompt))]
    return found


def _unknown(prompt: Prompt, given: Collection[str]) -> Iterator[str]:
    """Unknown variables, also in branches not yet taken, which would stop the build later."""
    for name in sorted(prompt.variables.difference(given)):
        yield f"the recipe gives no variable {name!r}; known: {', '.join(sorted(given))}"


def _sentences(prompt: Prompt) -> list[str]:
    """The sentences that ask for something, without those that forbid something."""
    return [sentence for sentence in _SENTENCE_END.split(prompt.words) if not _FORBIDS.search(sentence)]


def _directions(prompt: Prompt) -> Iterator[str]:
    for sentence in _sentences(prompt):
        if found := _COMPASS.search(sentence):
            yield (
                f'"{found.group()}" is a compass direction, and the top of an image may not be north; '
                "ask for positions in the image: top, bottom, left, right"
            )
            return


def _viewpoint(prompt: Prompt, manifest: Manifest) -> Iterator[str]:
    for viewpoint, words in _VIEWS.items():
        found = next((found for sentence in _sentences(prompt) if (found := words.search(sentence))), None)
        if found and viewpoint != manifest.viewpoint:
            yield (
                f'"{found.group()}" does not match the view of {manifest.name} ({manifest.view}); '
                "write {{ view }}, which the manifest fills in"
            )


def _image(step: Step, prompt: Prompt) -> Iterator[str]:
    """A step that only rewrites a text must not send an image; a step without an image must not ask about one."""
    if step.role == "mllm" and step.writes == "caption_short" and "caption_long" in prompt.variables:
        yield 'it makes a short text from a long one, yet sends the image; a step with role "llm" sends only text'
    elif step.role == "mllm" and (found := _REWRITES.search(prompt.words)):
        yield f'it asks to "{found.group()}", yet sends the image; a step with role "llm" sends only text'
    elif step.role == "llm" and (found := _LOOKS.search(" ".join(_sentences(prompt)))):
        yield f'it asks to "{found.group()}", but a text-only step sends no image'
