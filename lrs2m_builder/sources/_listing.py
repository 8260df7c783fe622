"""The names in a folder, and those in a source, matched by rules from exact to loose."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path
from posixpath import splitext

from lrs2m_builder.images.files import IMAGE_SUFFIXES, RASTER_SUFFIXES
from lrs2m_builder.sources._names import image_stem, original_stem, relative_paths, same_letters


def names_in(folder: Path) -> list[str]:
    """The names in a folder; none if it cannot be read."""
    try:
        with os.scandir(folder) as entries:
            return [entry.name for entry in entries]
    except OSError:  # its images are not found
        return []


@dataclass(frozen=True, slots=True)
class Rule:
    """A way to match names: those with equal keys match. With `is_stem`, only image extensions count."""

    key: Callable[[str], str]
    is_stem: bool


BY_NAME = (
    Rule(str, False),
    Rule(image_stem, True),  # the same image re-encoded (.jpg for .tif)
    Rule(str.lower, False),
    Rule(same_letters, False),
    Rule(lambda name: same_letters(image_stem(name)), True),
)
BY_STEM = (Rule(original_stem, True),)
_SUFFIXES = IMAGE_SUFFIXES | RASTER_SUFFIXES | {""}  # "": a folder that holds the bands of an image


class Folder:
    """The names in a folder; the index of each looser rule is built when first needed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.names = set(names_in(path))
        self._by_rule: dict[Rule, dict[str, str | None]] = {}

    def find(self, name: str, rule: Rule) -> Path | None:
        """The only file that matches a name by a rule; None if two match. A .txt does not match an image's stem."""
        if rule is BY_NAME[0]:
            return self._path / name if name in self.names else None
        if rule not in self._by_rule:
            names = (listed for listed in self.names if not rule.is_stem or splitext(listed)[1].lower() in _SUFFIXES)
            self._by_rule[rule] = _unique((rule.key(listed), listed) for listed in names)
        match = self._by_rule[rule].get(rule.key(name))
        return self._path / match if match else None


class NameList:
    """All image names of a source, to see whether a file could also be another row's image; read when first needed."""

    def __init__(self, all_names: Callable[[], Iterable[str]]) -> None:
        self._all_names = all_names
        self._by_key: dict[Rule, dict[str, list[tuple[str, str]]]] = {}

    def other(self, name: str, path: str, rule: Rule) -> str | None:
        """Another name of the source whose path ends like `path` by a rule."""
        if rule not in self._by_key:
            index: dict[str, list[tuple[str, str]]] = {}
            for name in dict.fromkeys(self._all_names()):
                whole = next(iter(relative_paths(name)), "")
                index.setdefault(rule.key(whole.rpartition("/")[2]), []).append((name, _end(whole)))
            self._by_key[rule] = index
        folders, _, last = path.rpartition("/")
        end = _end(f"{folders}/") if folders else ""
        same = (other for other, whole in self._by_key[rule].get(rule.key(last), ()) if whole.endswith(end))
        return next((other for other in same if other != name), None)


def _end(path: str) -> str:
    """The folders of a path, each preceded by a mark."""
    return same_letters(f"/{path}").rpartition("/")[0] + "/"


def _unique(pairs: Iterable[tuple[str, str]]) -> dict[str, str | None]:
    names: dict[str, str | None] = {}
    for key, name in pairs:
        names[key] = None if key in names else name
    return names
