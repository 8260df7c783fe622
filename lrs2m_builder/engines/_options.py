"""Options as the user types them: `KEY=VALUE`, where a value is what was typed.

One rule. A number, true, false and null are what they look like, written as in JSON or Python (0.2, 1e-1, .5, True);
what begins with [ or { is a list or map, in JSON or YAML's flow style; "..." is a text; anything else is the text that
stands there. YAML's other readings (no, ~, 0x10, 012, 12:30, 1_000, 2026-01-01, # for a comment) do not apply.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import yaml

from lrs2m_builder.errors import UserError, one_line

_NUMBER = re.compile(r"[+-]?(?:0|[1-9][0-9]*|(?=\.[0-9]))(?P<fraction>\.[0-9]*)?(?P<exponent>[eE][+-]?[0-9]+)?")
_WORDS = {"true": True, "True": True, "false": False, "False": False, "null": None, "None": None}
# Options that are texts whatever they look like: a revision may be 1234567 or 1e10, a stop string "1." or "null".
_TEXTS = {
    "attn_implementation", "base_url", "code_revision", "device", "dtype", "quantization", "revision", "tokenizer",
    "tokenizer_revision",
}  # fmt: skip
_TEXT_OR_LIST = {"stop", "bad_words", "served_model_name"}


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _is_mapping(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(key, str) for key in value)


# What a kind of setting must be: a test of its value, and the words for it.
_KINDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "number": (_is_number, "must be a number"),
    "whole": (lambda value: _is_number(value) and isinstance(value, int) and value >= 0, "must be a whole number"),
    "object": (lambda value: isinstance(value, Mapping), "must be an object such as {enable_thinking: false}"),
    "text": (lambda value: isinstance(value, str), "must be a text"),
    "switch": (lambda value: isinstance(value, bool), "must be true or false"),
    "mapping": (_is_mapping, "write a mapping, such as {enable_thinking: false}"),
    "positive": (lambda value: _is_number(value) and value > 0, "must be a positive number"),
    "count": (
        lambda value: _is_number(value) and value > 0 and isinstance(value, int),
        "must be a positive whole number",
    ),
    "seconds": (lambda value: _is_number(value) and value >= 0, "must be a number of seconds, 0 to wait for nothing"),
}


def wrong_kind(kind: str, value: Any) -> str:
    """What a setting of a kind must be; "" if it is that, or null, or of no kind that is known here."""
    is_kind, words = _KINDS.get(kind, (lambda value: True, ""))
    return "" if value is None or is_kind(value) else words


def check_options(options: Mapping[str, Any], kinds: Mapping[str, str]) -> None:
    """Check that the options which are given are of their kind.

    Args:
        kinds: by name (see `_KINDS`).

    Raises:
        UserError: one is not.
    """
    for name, kind in kinds.items():
        if wanted := wrong_kind(kind, options.get(name)):
            raise UserError(f"--engine-option {name}={options[name]}: {wanted}")


def check_names(options: Mapping[str, Any], names: Iterable[str], engine: str) -> None:
    """Check that an engine knows all options that are given.

    Raises:
        UserError: it does not know one.
    """
    known = sorted(names)
    if unknown := sorted(options.keys() - set(known)):
        raise UserError(
            f"--engine-option {unknown[0]}: not an option of the {engine} engine; known: {', '.join(known)}"
        )


def parse_options(flag: str, pairs: Iterable[str]) -> dict[str, Any]:
    """Turn `KEY=VALUE` settings into a mapping.

    Raises:
        UserError: not of that form.
    """
    options: dict[str, Any] = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        key = key.strip().replace("-", "_")
        if not key or not equals:
            raise UserError(f"{flag} {pair}: write KEY=VALUE")
        try:
            options[key] = _option(key, value)
        except (yaml.YAMLError, ValueError, TypeError, RecursionError) as error:
            raise UserError(
                f"{flag} {pair}: not a value ({one_line(error)}); write a list as [a, b], a map as {{key: value}}, "
                'and a text that looks like one in "..."'
            ) from error
    return options


def _option(key: str, value: str) -> Any:
    if key in _TEXTS:
        return _quoted(value)
    if key in _TEXT_OR_LIST:
        # Only a JSON list is one here: [INST] is a text at which an answer may stop.
        listed = _json_list(value)
        return _quoted(value) if listed is None else listed
    return _value(value)


def _value(text: str) -> Any:
    stripped = text.strip()
    if stripped.startswith(("[", "{")):
        parsed = yaml.load(stripped, Loader=PlainValueLoader)
        json.dumps(parsed, allow_nan=False)  # sets, anchors that hold themselves
        return parsed
    return _scalar(text)


def _scalar(text: str) -> Any:
    stripped = text.strip()
    if stripped in _WORDS:
        return _WORDS[stripped]
    if found := _NUMBER.fullmatch(stripped):
        number = float(stripped)
        if found["fraction"] is None and found["exponent"] is None:
            return int(stripped)
        if math.isfinite(number):
            return number
    return _quoted(text)


def _quoted(text: str) -> str:
    """The text within "..." as JSON writes it; any other as it stands."""
    if len(text) > 1 and text.startswith('"') and text.endswith('"'):
        try:
            return str(json.loads(text))
        except ValueError:
            return text
    return text


def _json_list(text: str) -> list[Any] | None:
    try:
        parsed = json.loads(text)
    except ValueError:
        return None
    return parsed if isinstance(parsed, list) else None


class PlainValueLoader(yaml.SafeLoader):
    """YAML whose plain values are read by the rule of this file."""

    yaml_implicit_resolvers: dict[str, Any] = {}  # noqa: RUF012 - YAML's own name for it


def is_plain(text: str) -> bool:
    """Whether a text is read as itself when it is written without quotes."""
    return isinstance(_scalar(text), str) and text == _quoted(text)


def _construct(loader: yaml.SafeLoader, node: yaml.ScalarNode) -> Any:
    text = loader.construct_scalar(node)
    return text if node.style else _scalar(str(text))


PlainValueLoader.add_constructor("tag:yaml.org,2002:str", _construct)
