"""What is wrong with the words of a prompt, before any model reads them.

The words are a template's constant text: what a sample fills in, such as a published caption, is not ours to mend.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator

from lrs2m_builder.build.plan import BuildPlan
from lrs2m_builder.build.stages import prompt_variables
from lrs2m_builder.declared.manifest import Manifest
from lrs2m_builder.declared.prompt import Prompt
from lrs2m_builder.declared.recipe import Step
from lrs2m_builder.schema import CaptionColumn, Sample

# RSTeller's prompt told the model that left is east: an image says nothing of north, and its top is often not there.
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
    """What should be changed in the prompts of a build, a line each; none of it stops the build.

    Args:
        sample: any that can be used; from it follows which variables the recipe gives.
    """
    captions: dict[CaptionColumn, str] = {"caption_short": "", "caption_long": ""}
    found = []
    for number, (step, prompt) in enumerate(zip(plan.recipe.steps, plan.recipe.prompts, strict=True)):
        given = prompt_variables(plan, sample, number, captions).keys()
        findings = (*_unknown(prompt, given), *_directions(prompt), *_viewpoint(prompt, plan.manifest))
        found += [f"prompt {prompt.name}: {finding}" for finding in (*findings, *_image(step, prompt))]
    return found


def _unknown(prompt: Prompt, given: Collection[str]) -> Iterator[str]:
    """A name in a branch that the samples tried so far do not take would stop the build later."""
    for name in sorted(prompt.variables.difference(given)):
        yield f"the recipe gives no variable {name!r}; known: {', '.join(sorted(given))}"


def _sentences(prompt: Prompt) -> list[str]:
    """The sentences that ask for something; those that forbid something are left out."""
    return [sentence for sentence in _SENTENCE_END.split(prompt.words) if not _FORBIDS.search(sentence)]


def _directions(prompt: Prompt) -> Iterator[str]:
    for sentence in _sentences(prompt):
        if found := _COMPASS.search(sentence):
            yield (
                f'"{found.group()}" is a direction of the map, and an image\'s top need not be north; '
                "ask for positions in the image: top, bottom, left, right"
            )
            return


def _viewpoint(prompt: Prompt, manifest: Manifest) -> Iterator[str]:
    for viewpoint, words in _VIEWS.items():
        found = next((found for sentence in _sentences(prompt) if (found := words.search(sentence))), None)
        if found and viewpoint != manifest.viewpoint:
            yield (
                f'"{found.group()}" is not what {manifest.name} has ({manifest.view}); '
                "write {{ view }}, which the manifest fills in"
            )


def _image(step: Step, prompt: Prompt) -> Iterator[str]:
    """A step that only rewrites a text must send no image, and one that sends none must not ask to look at it."""
    if step.role == "mllm" and step.writes == "caption_short" and "caption_long" in prompt.variables:
        yield 'it makes a short text of a long one, yet sends the image; a step with role "llm" sends text alone'
    elif step.role == "mllm" and (found := _REWRITES.search(prompt.words)):
        yield f'it asks to "{found.group()}", yet sends the image; a step with role "llm" sends text alone'
    elif step.role == "llm" and (found := _LOOKS.search(" ".join(_sentences(prompt)))):
        yield f'it asks to "{found.group()}", but a text-only step sends no image'
