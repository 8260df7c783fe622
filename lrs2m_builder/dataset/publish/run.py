"""`lrs2m publish`: finished data sets of one or more builds as one data set of the Hub.

The complete tree is first written beside the data; an interrupted upload reuses it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lrs2m_builder import __version__
from lrs2m_builder.build.stored_rows import RECORD_SCHEMA
from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.histogram import draw_histograms, draw_scores
from lrs2m_builder.dataset.publish.card import HISTOGRAM, SCORE_HISTOGRAM, make_card, make_license_file
from lrs2m_builder.dataset.publish.facts import read_facts
from lrs2m_builder.dataset.publish.origins import publishes_images
from lrs2m_builder.dataset.publish.places import GEOCROISSANT, make_geocroissant
from lrs2m_builder.dataset.publish.tree import MAX_SHARD_BYTES, SubsetSplit, tree_schema, write_subset
from lrs2m_builder.dataset.publish.upload import STATE, Uploaded, check_repo_id, find_token, tree_sizes, upload_tree
from lrs2m_builder.dataset.scores.places import score_names, scored_files
from lrs2m_builder.dataset.selection import NEEDS, Filters, select
from lrs2m_builder.dataset.split_files import split_tables
from lrs2m_builder.dataset.stats import NEEDS as COUNTED
from lrs2m_builder.dataset.tables import open_tables, record_files
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import read_json, write_json
from lrs2m_builder.stores.outputs import finished_folder

_SUBSET = re.compile(r"[A-Za-z0-9][\w.-]*", re.ASCII)


@dataclass(frozen=True, slots=True)
class PublishReport:
    """The result of publishing.

    Attributes:
        files: sizes by path of the files that are or would be uploaded.
        uploaded: None for a dry run.
    """

    tree: str
    repo_id: str
    splits: tuple[SubsetSplit, ...]
    files: dict[str, int]
    uploaded: Uploaded | None = None


def publish(
    paths: list[Path],
    repo_id: str,
    *,
    images: bool | None = None,
    private: bool = False,
    filters: Filters | None = None,
    dest: Path | None = None,
    dry_run: bool = False,
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> PublishReport:
    """Write the tree of a data set and upload it; after a stop, the same call resumes.

    Args:
        images: publish all images or no images; None follows the manifest of each subset.
        dest: folder of the tree; default: beside the first path, with ".hub" after its name.
        dry_run: only write the tree; needs no token.

    Raises:
        UserError: bad data or names, a duplicate subset, nothing may be published, no token, the Hub or the disk fails.
    """
    check_repo_id(repo_id)
    token = "" if dry_run else find_token()
    dest = dest or paths[0].resolve().with_name(f"{paths[0].resolve().name}.hub")
    splits = make_tree(paths, dest, repo_id, images=images, filters=filters or Filters(), max_bytes=max_shard_bytes)
    report = PublishReport(str(dest), repo_id, splits, tree_sizes(dest))
    if dry_run:
        return report
    uploaded = upload_tree(
        dest,
        repo_id,
        repo_type="dataset",
        private=private,
        message=f"{sum(split.rows for split in splits):,} pairs, by lrs2m-builder {__version__}",
        token=token,
        replaces=("data/*",),
    )
    return replace(report, uploaded=uploaded)


def make_tree(
    paths: list[Path], dest: Path, repo_id: str, *, images: bool | None, filters: Filters, max_bytes: int
) -> tuple[SubsetSplit, ...]:
    """Write shards, card, licences and plot into a new folder; a folder made from the same data is reused.

    Raises:
        UserError: `dest` holds other files, or as `publish`.
    """
    sources = _sources(paths)
    state = {"made_from": _fingerprint(paths, repo_id, images, filters, max_bytes)}
    if (dest / STATE).is_file():
        earlier = read_json(dest / STATE)
        if earlier.get("made_from") == state["made_from"]:
            return tuple(SubsetSplit(**split) for split in earlier["splits"])
        raise UserError(f"{dest}: holds a tree made from other data or settings; remove it or give --dest")
    passed_on = {subset: publishes_images(subset, path, images) for subset, path in sources.items()}
    schema = tree_schema(with_images=any(with_images for with_images, _ in passed_on.values()))
    with finished_folder(dest, "publish") as folder:
        splits = []
        for subset, path in sources.items():
            selection = select(path, replace(filters, subsets=(subset,)))
            with_images, why = passed_on[subset]
            split = write_subset(selection, folder, subset, schema, with_images=with_images, max_bytes=max_bytes)
            if split.rows != selection.num_rows:
                raise AssertionError(f"{path}: {selection.num_rows} rows wanted, {split.rows} written")
            splits.append(replace(split, why=why, notes=selection.notes))
        _describe(folder, splits, sources, repo_id)
        write_json(folder / STATE, state | {"splits": [asdict(split) for split in splits]})
    return tuple(splits)


def _describe(folder: Path, splits: list[SubsetSplit], sources: Mapping[str, Path], repo_id: str) -> None:
    """Write the card, the licences and the plot."""
    facts = read_facts(folder, splits, sources)
    schema = tree_schema(with_images=any(split.with_images for split in splits))
    (folder / "README.md").write_text(make_card(facts, schema, repo_id), encoding="utf-8")
    (folder / "LICENSE.md").write_text(make_license_file(facts), encoding="utf-8")
    if facts.places and facts.places.rows:
        names = [split.subset for split in splits]
        write_json(folder / GEOCROISSANT, make_geocroissant(facts.places, schema, names, repo_id, "LICENSE.md"))
    (folder / HISTOGRAM).parent.mkdir()
    pictures = draw_histograms(facts.stats, folder / HISTOGRAM)
    if facts.stats.scores:
        pictures += draw_scores(facts.stats.scores, folder / SCORE_HISTOGRAM)
    for picture in pictures:
        if picture.suffix != Path(HISTOGRAM).suffix:
            picture.unlink()


def _sources(paths: list[Path]) -> dict[str, Path]:
    """The folder of each subset, sorted by subset."""
    sources: dict[str, Path] = {}
    for path in paths:
        tables = open_tables(path, (*NEEDS, *COUNTED), RECORD_SCHEMA.names)
        with reading(path):
            names = tables.sql("SELECT DISTINCT coalesce(subset, '') AS name FROM records").fetchall()
        if not names:
            raise UserError(f"{path}: has no rows; build it again, or leave it out")
        for (name,) in names:
            if not _SUBSET.fullmatch(name) or name == "default":
                raise UserError(
                    f"{path}: subset {name!r} is not a valid name on the Hub; use letters, digits and . _ -"
                )
            if name in sources:
                raise UserError(f"{path}: subset {name!r} is also in {sources[name]}; publish one of them")
            sources[name] = path
    return dict(sorted(sources.items()))


def _fingerprint(paths: list[Path], repo_id: str, images: bool | None, filters: Filters, max_bytes: int) -> str:
    """A hash of everything that a tree is made from; the data by the names, sizes and times of their files."""
    files: list[Any] = []
    for path in paths:
        beside = [path / name for name in ("build.json", "reviews.jsonl", "audit/removals.parquet")]
        beside += [file.scores(name) for file in scored_files(path) for name in score_names(file.home)]
        beside += split_tables(record_files(path)).values()
        for file in [*record_files(path), *(file for file in beside if file.is_file())]:
            stat = file.stat()
            files.append((str(file.resolve()), stat.st_size, stat.st_mtime_ns))
    settings = [__version__, repo_id, images, asdict(filters), max_bytes]
    return hashlib.sha256(json.dumps([files, settings]).encode()).hexdigest()
