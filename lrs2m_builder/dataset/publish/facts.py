"""The facts in a card: counted from the rows, and read from builds and manifests."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lrs2m_builder.build.settings import BUILD_JSON
from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.publish.origins import Origin, origin_of, read_build
from lrs2m_builder.dataset.publish.places import Places, read_places
from lrs2m_builder.dataset.publish.tree import SubsetSplit
from lrs2m_builder.dataset.scores.places import SCORE_JSON, SCORES, score_names, scored_files
from lrs2m_builder.dataset.scores.summary import ScoreStats, summarize
from lrs2m_builder.dataset.stats import Stats, SubsetStats, read_stats
from lrs2m_builder.dataset.tables import open_tables, sql_list
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import read_json


@dataclass(frozen=True, slots=True)
class Made:
    """Recipe, model, engine and prompts shared by a number of rows of a subset."""

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
        origin: source information of its manifest, if there is one.
        num_unlicensed: published rows without a licence.
        num_built: rows of the data before any was left out.
        rejections: counts by reason, of the builds that made the rows.
        checks: level by name, of these builds.
        program: the version that built it, if recorded.
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
        """Its name, also the name of its configuration."""
        return self.stats.name

    @property
    def num_rejected(self) -> int:
        """Number of rejected samples."""
        return sum(self.rejections.values())


@dataclass(frozen=True, slots=True)
class Facts:
    """A data set, its subsets in the order of their names.

    Attributes:
        score_models: the model that made the scores, by their name.
        places: where and when the images were taken; None if no row says it.
    """

    subsets: tuple[SubsetFacts, ...]
    total: SubsetStats
    stats: Stats
    score_models: Mapping[str, str]
    places: Places | None = None


def read_facts(tree: Path, splits: Sequence[SubsetSplit], sources: Mapping[str, Path]) -> Facts:
    """Count the rows of a written tree, and read the reports of its builds.

    Args:
        sources: the folder that each subset came from.

    Raises:
        UserError: a file cannot be read.
    """
    stats, by_subset, builds, unlicensed = read_stats(tree), _read_made(tree), _Builds(sources), _read_unlicensed(tree)
    by_name = {split.subset: split for split in splits}
    subsets = tuple(
        SubsetFacts(
            stats=subset,
            split=by_name[subset.name],
            origin=origin_of(subset.name, sources[subset.name]),
            num_unlicensed=unlicensed.get(subset.name, 0),
            made=tuple(by_subset[subset.name]),
            num_built=builds.counted(subset.name).pairs,
            rejections=builds.counted(subset.name).rejections,
            checks=builds.checks(subset.name),
            program=builds.program(subset.name),
        )
        for subset in stats.subsets
    )
    scores, models = _read_scores(tree, sources)
    return Facts(subsets, stats.total, replace(stats, scores=scores), models, read_places(tree))


def _read_scores(tree: Path, sources: Mapping[str, Path]) -> tuple[tuple[ScoreStats, ...], dict[str, str]]:
    """The scores of the rows of a tree, which lie beside the data that each subset came from, and their models."""
    files = {path: scored_files(path) for path in set(sources.values())}
    parts = [(f"subset IN {sql_list([subset])}", files[path]) for subset, path in sources.items()]
    models = {}
    for home in {file.home for each in files.values() for file in each}:
        for name in score_names(home):
            made = read_json(home / SCORES / name / SCORE_JSON)
            model = next((str(each["model"]) for key in ("settings", "notes") if "model" in (each := made[key])), "-")
            models[name] = model.rstrip("/").rpartition("/")[2] if model.startswith(("/", "~", ".")) else model
    tables = open_tables(tree, ("sample_id", "subset", "caption_short", "caption_long"))
    with reading(tree):
        return summarize(tables, "records", parts, are_copies=True), dict(sorted(models.items()))


def _read_unlicensed(tree: Path) -> dict[str, int]:
    query = "SELECT subset, count(*) FROM records WHERE coalesce(trim(license), '') = '' GROUP BY subset"
    return dict(open_tables(tree).sql(query).fetchall())


def _read_made(tree: Path) -> dict[str, list[Made]]:
    tables = open_tables(tree)
    columns = [f"coalesce({name}, '')" for name in ("subset", "recipe", "model", "model_revision", "engine")]
    query = f"SELECT {', '.join(columns)}, prompts, count(*) FROM records GROUP BY ALL ORDER BY ALL"
    by_subset: dict[str, list[Made]] = defaultdict(list)
    for subset, recipe, model, revision, engine, prompts, rows in tables.sql(query).fetchall():
        named = ", ".join(f"{prompt['name']} ({prompt['sha256'][:12]})" for prompt in prompts or ())
        by_subset[subset].append(Made(recipe, model, revision, engine, named, rows))
    return by_subset


class _Builds:
    """Reports of the builds that the rows came from; a folder that is not a build has no report."""

    def __init__(self, sources: Mapping[str, Path]) -> None:
        self._sources = sources
        self._build = {path: read_build(path) for path in set(sources.values())}
        self._stats = {path: read_stats(path, with_scores=False) for path in set(sources.values())}

    def counted(self, subset: str) -> SubsetStats:
        return next(one for one in self._stats[self._sources[subset]].subsets if one.name == subset)

    def checks(self, subset: str) -> Mapping[str, str]:
        """The level of each check, from the strictest step that has it."""
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
            raise UserError(f"{path / BUILD_JSON}: contains no settings; was it edited?")
        return settings if settings.get("subset") == subset else {}
