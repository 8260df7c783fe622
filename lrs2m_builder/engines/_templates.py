"""A model's chat template: where it lies, the form of content that it takes, and the proof that nothing gets lost.

Templates fail in silence: one that goes through parts drops a text that is a string, one that adds strings prints a
list as Python shows it, one for texts alone leaves the image out. So each way to hand over a message is tried with
words that are known, and the first whose prompt holds them all is taken.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from pathlib import Path
from typing import Any

from lrs2m_builder.errors import UserError, one_line
from lrs2m_builder.exchange import Role

# Switches by which templates leave a thought out; a caption needs none.
NO_THOUGHT = {"enable_thinking": False, "thinking": False}
_RESERVED = {
    "messages", "conversation", "chat_template", "add_generation_prompt", "continue_final_message", "tokenize", "tools",
    "documents", "return_dict", "return_tensors", "padding", "truncation", "max_length", "tokenizer_kwargs",
    "return_assistant_tokens_mask",
}  # fmt: skip
# Words that show what a template does to them: a line break and quotes look otherwise in a list that is printed.
_TRIAL = ('A "road", it\'s 5 < 6 & wide.\nTell before.', "A 'field' & more.\nTell after.", 'You are "brief".\nAlways.')


@dataclass(frozen=True, slots=True)
class _Form:
    """One way to hand a message over.

    Attributes:
        parts, system_parts: whether the content of the user's and the system's message is a list of parts, or a text.
        joint: what the text behind the image begins with; some templates put the image first and glue both texts.
    """

    parts: bool
    system_parts: bool
    joint: str = ""


class ChatTemplate:
    """Renders requests by a model's chat template, in the form that it takes."""

    def __init__(
        self,
        name: str,
        sources: Sequence[str],
        render: Callable[..., Any],
        kwargs: Mapping[str, Any],
        *,
        image_tokens: Sequence[str] = (),
        image_text: str = "",
    ) -> None:
        """Keep what is needed to render.

        Args:
            sources: the templates that the model has, the one to prefer first.
            render: a tokenizer's apply_chat_template.
            kwargs: what the template is given beside the messages.
            image_tokens: texts that the model's processor takes for an image; empty if they are not known.
            image_text: what stands for the image if the content is a text; empty if only a part can.

        Raises:
            UserError: one of `kwargs` is a name that no template of the model reads.
        """
        self._name, self._sources, self._apply = name, sources, render
        for key in kwargs:
            if key in _RESERVED:
                raise UserError(f"--engine-option chat_template_kwargs: {key} is set by the build")
            if not any(_reads(source, key) for source in sources):
                raise UserError(
                    f"--engine-option chat_template_kwargs: the chat template of {name} does not read {key!r}"
                )
        self._kwargs, self._image_tokens, self._image_text = kwargs, image_tokens, image_text
        self._chosen: dict[tuple[Role, bool], tuple[str, _Form, str]] = {}

    def text(self, role: Role, parts: Sequence[str], system: str = "") -> str:
        """The prompt with the template around it, ready for the answer.

        Raises:
            UserError: the template cannot be used for such requests.
        """
        source, form, _ = self._choose(role, bool(system))
        return self._render(source, form, role, parts, system)

    def problem(self, text: str, role: Role, parts: Sequence[str], system: str = "") -> str | None:
        """What is wrong with a rendered prompt; None if it holds all words, in their order, and the image once."""
        _, form, mark = self._choose(role, bool(system))
        return _lost(text, _expected(form, parts, system)) or (
            f"it shows the image {text.count(mark)} times" if mark and text.count(mark) != 1 else None
        )

    def _choose(self, role: Role, has_system: bool) -> tuple[str, _Form, str]:
        """The template, the form and the image's mark for requests of a kind.

        Raises:
            UserError: no form of any template keeps the words and the image.
        """
        key = (role, has_system)
        if key not in self._chosen:
            problems: list[str] = []
            for source, form in product(self._sources, self._forms(role, has_system)):
                problem, mark = self._try(source, form, role, has_system)
                if problem is None:
                    self._chosen[key] = source, form, mark
                    break
                problems.append(problem)
            else:
                what = "an image" if role == "mllm" else "a text-only step"
                with_system = " with --system" if has_system else ""
                raise UserError(
                    f"--model {self._name}: its chat template cannot be used for {what}{with_system}: {problems[0]}; "
                    "choose another model, or serve it with a template of your own (vllm serve --chat-template FILE) "
                    "and give --engine openai"
                )
        return self._chosen[key]

    def _forms(self, role: Role, has_system: bool) -> Iterator[_Form]:
        contents = (False, True) if role == "llm" else (True, False) if self._image_text else (True,)
        for parts in contents:
            for system_parts in (parts, not parts) if has_system else (parts,):
                yield from (_Form(parts, system_parts, joint) for joint in (("", "\n") if role == "mllm" else ("",)))

    def _try(self, source: str, form: _Form, role: Role, has_system: bool) -> tuple[str | None, str]:
        """What is wrong with a form, or None and the text that stands for the image."""
        *words, system = _TRIAL
        parts = words if role == "mllm" else words[:1]
        system = system if has_system else ""
        try:
            text = self._render(source, form, role, parts, system)
            bare = self._render(source, form, role, parts, system, without_image=True) if role == "mllm" else text
        except Exception as error:  # noqa: BLE001 - a template may fail in any way that Python can; it is the model's
            return f"it fails ({type(error).__name__}: {one_line(error)})", ""
        if problem := _lost(text, _expected(form, parts, system)):
            return problem, ""
        if any(text.count(part.strip()) > 1 for part in parts):
            return "it says the words of the prompt twice", ""
        if role == "llm":
            return None, ""
        mark = _inserted(bare, text).strip()
        if not mark:
            return "it shows no image", ""
        known = [token for token in self._image_tokens if token in mark]
        if self._image_tokens and not known:
            return f"it shows an image as {mark!r}, which the model's processor does not know", ""
        if any(text.count(token) != 1 for token in known):
            return f"it shows the image {max(text.count(token) for token in known)} times", ""
        glued = "".join(part.strip() for part in parts)
        return ("it joins the words before and behind the image", "") if glued in text else (None, mark)

    def _render(
        self, source: str, form: _Form, role: Role, parts: Sequence[str], system: str, *, without_image: bool = False
    ) -> str:
        content: Any = parts[0]
        if role == "mllm":
            before, after = parts[0], form.joint + parts[1]
            if form.parts:
                image = [] if without_image else [{"type": "image"}]
                content = [{"type": "text", "text": before}, *image, {"type": "text", "text": after}]
            else:
                content = "\n".join((before, *(() if without_image else (self._image_text,)), after))
        elif form.parts:
            content = [{"type": "text", "text": parts[0]}]
        messages = [{"role": "user", "content": content}]
        if system:
            messages.insert(
                0, {"role": "system", "content": [{"type": "text", "text": system}] if form.system_parts else system}
            )
        switches: dict[str, Any] = {name: value for name, value in NO_THOUGHT.items() if _reads(source, name)}
        text = self._apply(
            messages, chat_template=source, tokenize=False, add_generation_prompt=True, **{**switches, **self._kwargs}
        )
        return str(text)


def template_sources(*kept: Any, read: Callable[[str], Path | None]) -> list[str]:
    """The texts of a model's chat templates, those named "default" first.

    Args:
        kept: what the processor and the tokenizer hold: a text, named texts, or a list of named texts.
        read: the path of a file of the model; None if it has none of that name. Read only if nothing is kept.
    """
    found = [source for value in kept for source in _named(value)]
    if not found:
        if (path := read("chat_template.jinja")) is not None:
            found.append(path.read_text(encoding="utf-8"))
        for file in ("chat_template.json", "processor_config.json", "tokenizer_config.json"):
            if (path := read(file)) is not None:
                try:
                    content = json.loads(path.read_text(encoding="utf-8"))
                except ValueError as error:
                    raise UserError(f"{path}: not JSON: {error}") from error
                found += _named(content.get("chat_template") if isinstance(content, dict) else None)
    return list(dict.fromkeys(found))


def _named(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value] if value.strip() else []
    if isinstance(value, list):
        value = {
            entry.get("name"): entry.get("template", entry.get("chat_template"))
            for entry in value
            if isinstance(entry, dict)
        }
    if not isinstance(value, Mapping):
        return []
    ranked = sorted(value.items(), key=lambda item: item[0] != "default")
    return [text for _, text in ranked if isinstance(text, str) and text.strip()]


def _reads(source: str, name: str) -> bool:
    return re.search(rf"\b{re.escape(name)}\b", source) is not None


def _expected(form: _Form, parts: Sequence[str], system: str) -> list[str]:
    """The words that a prompt must hold, in their order."""
    return [words for words in (system.strip(), *(part.strip() for part in parts)) if words]


def _lost(text: str, expected: Sequence[str]) -> str | None:
    """What a rendered prompt does to the words that it must hold in this order; None if all are there."""
    position = 0
    for words in expected:
        found = text.find(words, position)
        if found < 0:
            if repr(words)[1:-1] in text or json.dumps(words)[1:-1] in text:
                return "it prints a list of Python instead of the words in it"
            return "it changes the order of the words" if words in text else "it drops words of the prompt"
        position = found + len(words)
    return None


def _inserted(shorter: str, longer: str) -> str:
    """What `longer` has more than `shorter`."""
    limit = min(len(shorter), len(longer))
    start = next((i for i in range(limit) if shorter[i] != longer[i]), limit)
    rest = limit - start
    end = next((i for i in range(rest) if shorter[-1 - i] != longer[-1 - i]), rest)
    return longer[start : len(longer) - end]
