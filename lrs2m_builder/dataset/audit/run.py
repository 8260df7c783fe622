"""`lrs2m audit`: problems of a finished data set; the data set itself is not changed.

OUT/audit/audit.json           all findings
OUT/audit/removals.parquet     sample_id, reason, detail: rows to remove, for `lrs2m export --without audit`
OUT/audit/report.html          the pairs side by side
"""

from __future__ import annotations

import errno
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path, PurePosixPath
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lrs2m_builder.dataset.audit.against import AgainstSet, open_evaluation
from lrs2m_builder.dataset.audit.captions import RUN_LENGTHS, caption_repeats
from lrs2m_builder.dataset.audit.collect import AuditImage, Collection, ImageLocation, image_key
from lrs2m_builder.dataset.audit.consistency import COLUMNS, check_records
from lrs2m_builder.dataset.audit.findings import KINDS, Audit, ImagePair, NameMatch, PlaceMatch
from lrs2m_builder.dataset.audit.hashes import hash_thumbnails
from lrs2m_builder.dataset.audit.judges import compare_judges
from lrs2m_builder.dataset.audit.pairs import Pairs, near_pairs
from lrs2m_builder.dataset.audit.report import write_report
from lrs2m_builder.dataset.audit.same_place import place_matches
from lrs2m_builder.dataset.foreign import reading
from lrs2m_builder.dataset.tables import open_tables, record_files
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import finished_file, write_json
from lrs2m_builder.stores.outputs import own_folder

NEEDS = ("sample_id", "subset", "image", "caption_short", "caption_long")
MAX_LISTED = 100_000  # pairs in audit.json; the removals list every record
REMOVAL_SCHEMA = pa.schema([(name, pa.string()) for name in ("sample_id", "reason", "detail")])


def audit(
    path: Path,
    against: Sequence[Path] = (),
    *,
    out_dir: Path | None = None,
    remove_same_names: bool = False,
    within_days: float | None = None,
    judges: Sequence[str] = (),
    show_progress: bool = False,
) -> Audit:
    """Examine every image and text of a data set, and write the findings to `out_dir` (default: audit/ in it).

    Args:
        against: evaluation images: a folder of images, a list in JSON, or Parquet.
        remove_same_names: also list records for removal that only share a file name with an evaluation image.
        within_days: of images that show the same ground as an evaluation image, only those taken that close in time.
        judges: names of two tables of scores, whose verdicts are compared.

    Raises:
        UserError: no Parquet files, a missing column, nothing at `against`, no rows, or a full disk.
    """
    out_dir = out_dir or (path if path.is_dir() else path.parent) / "audit"
    _check_columns(path)
    files = record_files(path)
    comparison = compare_judges(path, judges) if judges else None
    evaluations = [open_evaluation(name) for name in against]
    with own_folder(out_dir, "audit"):
        result, places = _look(
            path, files, evaluations, against, out_dir, remove_same_names, within_days, show_progress
        )
        result = replace(result, judges=comparison)
        write_json(out_dir / "audit.json", as_json(result))
        write_removals(files, result.removals, out_dir / "removals.parquet")
        write_report(out_dir / "report.html", result, places)
    return result


def _look(
    path: Path,
    files: list[Path],
    evaluations: Sequence[AgainstSet],
    against: Sequence[Path],
    out_dir: Path,
    remove_same_names: bool,
    within_days: float | None,
    show_progress: bool,
) -> tuple[Audit, list[ImageLocation]]:
    """The findings, and where the images are stored."""
    try:
        with tempfile.TemporaryFile(dir=out_dir) as file:  # unnamed, so that a killed process leaves no file
            collection = Collection(file)
            collection.add_records(files, show_progress=show_progress)
            if not collection.num_rows:
                raise UserError(f"{path}: no rows")
            for evaluation in evaluations:
                evaluation.add_to(collection, show_progress=show_progress)
            hashes = hash_thumbnails(collection.thumbnails())
            near = near_pairs(hashes, collection.thumbnails(), show_progress=show_progress)
        names = _name_matches(collection.pictures, evaluations)
        pairs = _image_pairs(collection.pictures, near)
        matches = place_matches(files, evaluations, within_days)
        result = Audit(
            path=str(path),
            against=tuple(map(str, against)),
            records=collection.num_rows,
            images=sum(not picture.is_evaluation for picture in collection.pictures),
            distinct_images=len({picture.content for picture in collection.pictures if not picture.is_evaluation}),
            evaluation_images=sum(picture.is_evaluation for picture in collection.pictures),
            evaluation_names=len({_stem(name) for evaluation in evaluations for name in evaluation.names}),
            flat_images=hashes.num_flat - collection.problems.total(),
            without_image=collection.without_image,
            unreadable=dict(collection.problems),
            pairs=pairs,
            names=names,
            places=matches,
            captions=tuple(caption_repeats(files, column, show_progress=show_progress) for column in RUN_LENGTHS),
            findings=check_records(files, show_progress=show_progress),
            removals=_removals(pairs, names if remove_same_names else (), matches),
        )
    except (OSError, pa.ArrowException) as error:
        if getattr(error, "errno", None) == errno.ENOSPC:  # the thumbnails: about 1 KB per image
            raise UserError(f"{out_dir}: no space left on the disk; make room or give --out elsewhere") from error
        raise UserError(f"{path}: cannot be read: {' '.join(str(error).split())}") from error
    return result, collection.places


def _check_columns(path: Path) -> None:
    open_tables(path, NEEDS, (*COLUMNS, "image_sha256")).close()


def as_json(result: Audit) -> dict[str, Any]:
    """The content of `audit.json`, with at most MAX_LISTED pairs."""
    counts = Counter(pair.kind for pair in result.pairs)
    content = asdict(result) | {"pair_counts": dict(counts), "removed_images": len(result.removals)}
    del content["removals"]
    if result.judges is not None:
        for kind, one in zip(content["judges"]["kinds"], result.judges.kinds, strict=True):
            kind |= {"claims": one.claims, "agreement": one.agreement, "kappa": one.kappa}
    for pair in content["pairs"]:
        del pair["contents"]
    listed = {name: content[name][:MAX_LISTED] for name in ("pairs", "names", "places")}
    return content | listed | {"num_places": len(result.places)}


def _image_pairs(pictures: Sequence[AuditImage], near: Pairs) -> tuple[ImagePair, ...]:
    """Each image to remove, with the one it leaks or repeats; of two, the first by subset and key is kept.

    An image is always a repetition of a kept one, never of a removed one: chains are not followed.
    """
    neighbours: dict[int, list[tuple[float, int]]] = {}
    for a, b, residual in zip(near.first.tolist(), near.second.tolist(), near.residual.tolist(), strict=True):
        neighbours.setdefault(a, []).append((residual, b))
        neighbours.setdefault(b, []).append((residual, a))
    held: dict[int, AuditImage] = {}  # by content: evaluation images first, then kept images
    for picture in sorted((p for p in pictures if p.is_evaluation), key=_by_subset_and_key):
        held.setdefault(picture.content, picture)
    evaluation = dict(held)
    pairs = []
    for picture in sorted((p for p in pictures if not p.is_evaluation), key=_by_subset_and_key):
        options = [(0.0, picture.content), *sorted(neighbours.get(picture.content, ()))]
        match = next((o for o in options if o[1] in evaluation), next((o for o in options if o[1] in held), None))
        if match is None:
            held[picture.content] = picture
            continue
        residual, content = match
        other = held[content]
        kind = ("" if content == picture.content else "near_") + ("leak" if other.is_evaluation else "duplicate")
        contents = picture.content, content
        pairs.append(ImagePair(kind, picture.key, picture.subset, other.key, other.subset, residual, contents))
    order = {kind: number for number, kind in enumerate(KINDS)}
    return tuple(sorted(pairs, key=lambda pair: (order[pair.kind], -pair.residual)))


def _by_subset_and_key(picture: AuditImage) -> tuple[str, str]:
    return picture.subset, picture.key


def _name_matches(pictures: Sequence[AuditImage], evaluations: Sequence[AgainstSet]) -> tuple[NameMatch, ...]:
    """Images that share a file name with an evaluation image; names without a letter, as 17.tif, are ignored."""
    stems: dict[str, str] = {}
    for evaluation in evaluations:
        for name in evaluation.names:
            stems.setdefault(_stem(name), f"{evaluation.path}: {name}")
    own = sorted((p for p in pictures if not p.is_evaluation), key=_by_subset_and_key)
    return tuple(
        NameMatch(picture.key, picture.subset, picture.name, stems[stem])
        for picture in own
        if (stem := _stem(picture.name)) in stems and any(map(str.isalpha, stem))
    )


def _stem(name: str) -> str:
    return PurePosixPath(name).stem.casefold()


def _removals(
    pairs: Sequence[ImagePair], names: Sequence[NameMatch], places: Sequence[PlaceMatch]
) -> dict[str, tuple[str, str]]:
    hints = {match.image: ("same_name", f"name of {match.of}") for match in names}
    hints |= {match.image: ("same_place", match.words) for match in places}
    return hints | {pair.image: (pair.kind, f"{KINDS[pair.kind]} {pair.of}") for pair in pairs}


def _sample_ids(path: Path) -> Iterator[list[str]]:
    with reading(path), pq.ParquetFile(path, page_checksum_verification=True) as file:
        for batch in file.iter_batches(100_000, columns=["sample_id"]):
            yield batch.column(0).to_pylist()


def write_removals(files: Sequence[Path], removals: dict[str, tuple[str, str]], path: Path) -> None:
    """Write every record of the images to remove: sample_id, reason and detail."""
    with finished_file(path) as part, pq.ParquetWriter(part, REMOVAL_SCHEMA, compression="zstd") as writer:
        for file in files:
            for sample_ids in _sample_ids(file):
                removed = [(name, *removals[key]) for name in sample_ids if (key := image_key(name)) in removals]
                rows = [dict(zip(REMOVAL_SCHEMA.names, row, strict=True)) for row in removed]
                writer.write_table(pa.Table.from_pylist(rows, schema=REMOVAL_SCHEMA))
