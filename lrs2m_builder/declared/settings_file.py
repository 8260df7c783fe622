"""Settings files of commands: a key is the name of an option, with _ for -, and a value what the option takes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from lrs2m_builder.declared.yaml_mapping import UniqueKeyLoader, parse_mapping
from lrs2m_builder.engines._options import PlainValueLoader, is_plain
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import finished_file


def read_settings(path: Path) -> dict[str, Any]:
    """The keys of a settings file.

    Raises:
        UserError: not YAML, or not a mapping.
    """
    return parse_mapping(path.read_bytes(), path, "a settings file", _Loader)


def write_settings(path: Path, command: str, lines: Sequence[str]) -> None:
    """Write a settings file under a new name.

    Args:
        command: that runs it, such as "build".
        lines: its content in YAML.

    Raises:
        UserError: the file exists or cannot be written.
    """
    if path.exists():
        raise UserError(f"--save {path}: exists; give a new name")
    head = [
        f"# Run it with: lrs2m {command} {path}",
        f"# Each key is an option of lrs2m {command}; an option beside the file wins. Secrets, such as the key of an",
        "# endpoint or of the Hub, come from the environment.",
    ]
    with finished_file(path) as part:
        part.write_text("\n".join([*head, *lines]) + "\n", encoding="utf-8")


def merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Keys of both; the second wins, and mappings are merged key by key."""
    result = dict(below)
    for key, value in above.items():
        before = result.get(key)
        both = isinstance(value, Mapping) and isinstance(before, Mapping)
        result[key] = {**before, **value} if both else value  # type: ignore[dict-item]
    return result


def replaced(keys: Mapping[str, Any], flags: Mapping[str, Any], where: str) -> list[str]:
    """A line for each value of a file that an option replaces.

    Args:
        where: the file, for the message.
    """
    return [
        f"{where}: --{key.replace('_', '-')} {_shown(flags[key])} is used instead of {_shown(value)}"
        for key, value in keys.items()
        if key in flags and _clash(value, flags[key])
    ]


def _clash(value: Any, flag: Any) -> bool:
    if isinstance(value, Mapping) and isinstance(flag, Mapping):
        return any(value[key] != flag[key] for key in value.keys() & flag.keys())
    return str(value) != str(flag)


def dumped(keys: Mapping[str, Any]) -> list[str]:
    """Settings as lines of YAML that `read_settings` reads back."""
    return yaml.dump(dict(keys), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110).splitlines()


def _shown(value: Any) -> str:
    if isinstance(value, Mapping):
        return ", ".join(f"{key}={one}" for key, one in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


class _Loader(UniqueKeyLoader, PlainValueLoader):
    """Plain values are read as `KEY=VALUE` options are: `off` is a text, 1e-4 a number."""


class _Dumper(yaml.SafeDumper):
    """Quotes every text that `_Loader` would read as something else."""


def _text_node(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=None if text and is_plain(text) else '"')


_Dumper.add_representer(str, _text_node)
