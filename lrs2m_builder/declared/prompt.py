"""Prompts: the words of a recipe, in Jinja, with one mark for the position of the image."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from jinja2 import Environment, StrictUndefined, Template, TemplateError, meta, nodes

from lrs2m_builder.declared.shipped import find
from lrs2m_builder.errors import UserError

IMAGE = "image"  # the template variable that marks the position of the image
_IMAGE_MARK = "\x00image\x00"
_environment = Environment(undefined=StrictUndefined, keep_trailing_newline=False, autoescape=False)


@dataclass(frozen=True, slots=True)
class Prompt:
    """A prompt template.

    Attributes:
        sha256: of the file; a prompt that has been used is never edited: a change is a new version.
        words: its constant text, without the variables.
        variables: names that the template reads, without `image`.
        has_image: whether the template marks the position of the image.
    """

    name: str
    sha256: str
    words: str
    variables: frozenset[str]
    has_image: bool
    template: Template

    def render(self, variables: Mapping[str, Any]) -> tuple[str, ...]:
        """The text before and after the image; one part for a text-only prompt.

        Raises:
            UserError: the template uses a variable that was not given, or fails.
        """
        try:
            text = self.template.render({**variables, IMAGE: _IMAGE_MARK})
        except Exception as error:
            # A template may raise any exception; it is the user's file, not a bug of ours.
            raise UserError(f"prompt {self.name}: {error}") from error
        parts = tuple(part.strip("\n") for part in text.split(_IMAGE_MARK))
        if len(parts) != 1 + self.has_image:
            raise UserError(
                f"prompt {self.name}: {{{{ image }}}} was rendered {len(parts) - 1} times; "
                "use it exactly once, outside branches and loops"
            )
        return parts


def load_prompt(name: str, beside: Path | None = None) -> Prompt:
    """Load a shipped prompt by name or the user's own by path.

    Raises:
        UserError: no such prompt, not a Jinja template, or the image is marked more than once.
    """
    path = find("prompts", name, beside)
    try:
        source = path.read_text(encoding="utf-8")
        tree = _environment.parse(source)
        names = meta.find_undeclared_variables(tree)
        template = _environment.from_string(source)
    except (TemplateError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: not a Jinja template: {error}") from error
    if sum(node.name == IMAGE for node in tree.find_all(nodes.Name)) > 1:
        raise UserError(f"{path}: {{{{ image }}}} is used more than once; a request has one image")
    return Prompt(
        name=path.stem,
        sha256=hashlib.sha256(source.encode()).hexdigest(),
        words="".join(node.data for node in tree.find_all(nodes.TemplateData)),
        variables=frozenset(names - {IMAGE}),
        has_image=IMAGE in names,
        template=template,
    )
