"""What a card tells of a data set: counted from its rows, and read from its builds and the manifests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lrs2m_builder.build.settings import BUILD_JSON
from lrs2m_builder.dataset.publish.origins import Origin, origin_of, read_build
from lrs2m_builder.dataset.publish.tree import SubsetSplit
from lrs2m_builder.dataset.stats import Stats, SubsetStats, read_stats
from lrs2m_builder.dataset.tables import open_tables
from lrs2m_builder.errors import UserError


@dataclass(frozen=True, slots=True)
class Made:
    """How rows of a subset came to be: what is the same for all of them."""

    recipe: str
    model: str
    revision: str
    engine: str
    prompts: str
    rows: int


@dataclass(frozen=True, slots=True)
class SubsetFacts:
    """One subset of the card.

    Attributes:
        stats: of the published rows.
        origin: what its manifest says, if one is known.
        num_unlicensed: published rows that state no licence.
        num_built: rows of the data that it was published from, before any was left out.
        rejections: by reason, of the builds that made the rows.
        checks: level by name, of these builds.
        program: the version that built it, where a build says so.
    """

    stats: SubsetStats
    split: SubsetSplit
    origin: Origin | None
    num_unlicensed: int
    made: tuple[Made, ...]
    num_built: int
    rejections: Mapping[str, int]
    checks: Mapping[str, str]
    program: str

    @property
    def name(self) -> str:
        """Its name, which is that of its configuration."""
        return self.stats.name

    @property
    def num_rejected(self) -> int:
        """Samples that gave no row."""
        return sum(self.rejections.values())


@dataclass(frozen=True, slots=True)
class Facts:
    """A data set, its subsets in the order of their names."""

    subsets: tuple[SubsetFacts, ...]
    total: SubsetStats
    stats: Stats


def read_facts(tree: Path, splits: Sequence[SubsetSplit], sources: Mapping[str, Path]) -> Facts:
    """Count a tree that was written, and read what its builds say.

    Args:
        sources: the folder that each subset came from.

    Raises:
        UserError: a file cannot be read.
    """
    stats, made, builds, unlicensed = read_stats(tree), _read_made(tree), _Builds(sources), _read_unlicensed(tree)
    by_name = {split.subset: split for split in splits}
    subsets = tuple(
        SubsetFacts(
            stats=subset,
            split=by_name[subset.name],
            origin=origin_of(subset.name, sources[subset.name]),
            num_unlicensed=unlicensed.get(subset.name, 0),
            made=tuple(made[subset.name]),
            num_built=builds.counted(subset.name).pairs,
            rejections=builds.counted(subset.name).rejections,
            checks=builds.checks(subset.name),
            program=builds.program(subset.name),
        )
        for subset in stats.subsets
    )
    return Facts(subsets, stats.total, stats)


def _read_unlicensed(tree: Path) -> dict[str, int]:
    query = "SELECT subset, count(*) FROM records WHERE coalesce(trim(license), '') = '' GROUP BY subset"
    return dict(open_tables(tree).sql(query).fetchall())


def _read_made(tree: Path) -> dict[str, list[Made]]:
    tables = open_tables(tree)
    columns = [f"coalesce({name}, '')" for name in ("subset", "recipe", "model", "model_revision", "engine")]
    query = f"SELECT {', '.join(columns)}, prompts, count(*) FROM records GROUP BY ALL ORDER BY ALL"
    made: dict[str, list[Made]] = defaultdict(list)
    for subset, recipe, model, revision, engine, prompts, rows in tables.sql(query).fetchall():
        named = ", ".join(f"{prompt['name']} ({prompt['sha256'][:12]})" for prompt in prompts or ())
        made[subset].append(Made(recipe, model, revision, engine, named, rows))
    return made


class _Builds:
    """What the folders that the rows came from say of themselves; a folder that is no build says nothing."""

    def __init__(self, sources: Mapping[str, Path]) -> None:
        self._sources = sources
        self._build = {path: read_build(path) for path in set(sources.values())}
        self._stats = {path: read_stats(path) for path in set(sources.values())}

    def counted(self, subset: str) -> SubsetStats:
        return next(one for one in self._stats[self._sources[subset]].subsets if one.name == subset)

    def checks(self, subset: str) -> Mapping[str, str]:
        """The level of each check, of the strictest step that has it."""
        steps = self._settings(subset).get("checks") or []
        return {name: level for step in reversed(steps) for name, level in step.items() if level != "off"}

    def program(self, subset: str) -> str:
        if not self._settings(subset):
            return ""
        return str(self._build[self._sources[subset]].get("versions", {}).get("lrs2m-builder", ""))

    def _settings(self, subset: str) -> dict[str, Any]:
        path = self._sources[subset]
        settings = self._build[path].get("settings") or {}
        if not isinstance(settings, dict):
            raise UserError(f"{path / BUILD_JSON}: holds no settings; was it edited?")
        return settings if settings.get("subset") == subset else {}
