"""Reads what a user writes in YAML: a mapping whose keys are words, each once; an unknown key has a nearest match."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from lrs2m_builder.errors import UserError, not_among


class UniqueKeyLoader(yaml.SafeLoader):
    """YAML that refuses duplicate keys; PyYAML itself silently takes the last one."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        seen = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise yaml.constructor.ConstructorError(problem="a key must be a word", problem_mark=key.start_mark)
            if key.value in seen:
                raise yaml.constructor.ConstructorError(problem=f"key {key.value!r} twice", problem_mark=key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep)


def parse_mapping(
    data: bytes, path: Path, what: str, loader: type[yaml.SafeLoader] = UniqueKeyLoader
) -> dict[str, Any]:
    """The mapping in a YAML file.

    Args:
        what: what the file is, such as "a manifest", for the message.

    Raises:
        UserError: not YAML, or not a mapping of words to values.
    """
    try:
        raw = yaml.load(data, loader)
    except (yaml.YAMLError, UnicodeDecodeError, ValueError) as error:
        raise UserError(f"{path}: not YAML: {' '.join(str(error).split())}") from error
    if not isinstance(raw, dict):
        raise UserError(f"{path}: {what} is a mapping of keys to values")
    if odd := [key for key in raw if not isinstance(key, str)]:
        raise UserError(f"{path}: keys must be words, each once: {odd[0]!r}")
    return raw


def invalid(where: str, error: ValidationError, keys: Collection[str]) -> UserError:
    """The first problem of a file's values in one line.

    Args:
        where: the file, and the part of it.
        keys: those that are known at the top.
    """
    first = error.errors()[0]
    key = ".".join(str(part) for part in first["loc"])
    if first["type"] == "extra_forbidden":
        return UserError(f"{where}: unknown key {key!r}{not_among(key, sorted(keys))}")
    return UserError(f"{where}: {f'{key}: ' if key else ''}{first['msg'].lower()}")
