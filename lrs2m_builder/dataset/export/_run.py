"""`lrs2m export`: converts a finished data set to the formats of training and annotation programs."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lrs2m_builder import __version__
from lrs2m_builder.dataset.export import load_format
from lrs2m_builder.dataset.export._base import ImageChoice, Options
from lrs2m_builder.dataset.scores.rows import read_scores, with_scores
from lrs2m_builder.dataset.selection import Filters, read_rows, select
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import write_json
from lrs2m_builder.stores.outputs import finished_folder


@dataclass(frozen=True, slots=True)
class ExportReport:
    """The result of an export.

    Attributes:
        rows: rows written, out of `of` in the data set.
        subsets, licenses: rows by subset and by licence.
        bytes: total size of the files.
        notes: what a person should know of the scores in a condition and of rows left out, one per line.
    """

    dest: str
    format: str
    rows: int
    of: int
    subsets: dict[str, int]
    licenses: dict[str, int]
    files: int
    bytes: int
    notes: tuple[str, ...] = ()


def export(
    path: Path, to: str, dest: Path, filters: Filters, options: Options, images: ImageChoice | None = None
) -> ExportReport:
    """Write the selected rows of a data set in another format, in order, in bounded memory.

    Args:
        dest: a new folder; it appears complete, by rename, with an `export.json` of the settings.
        images: None uses the format's default.

    Raises:
        UserError: no such data, format or rows, a setting that the format does not support, `dest` exists, disk full.
    """
    format_ = load_format(to)
    if images is not None and images not in format_.IMAGES:
        raise UserError(f"--images {images}: {to} supports {' or '.join(format_.IMAGES)}")
    if options.lines and to != "json":
        raise UserError(f"--lines: {to} does not support it; omit it, or export --to json")
    options = replace(options, images=images or format_.IMAGES[0])
    with finished_folder(dest, "export") as folder:
        selection = select(path, filters)
        seen = _Seen()
        rows = read_rows(selection, with_images=options.images != "reference")
        if getattr(format_, "WITH_SCORES", False):
            scores = read_scores(selection)
            options = replace(options, scores={field.name: str(field.type) for field in scores.schema})
            rows = with_scores(rows, scores)
        notes = format_.write(seen.watch(rows), folder, options) or ()
        if seen.rows != selection.num_rows:
            raise AssertionError(f"{path}: {selection.num_rows} rows wanted, {seen.rows} written")
        asked = {"filters": asdict(filters), "options": asdict(options)}
        counts = {"rows": seen.rows, "of": selection.of, "subsets": seen.subsets, "licenses": seen.licenses}
        write_json(folder / "export.json", {"lrs2m-builder": __version__, "format": to, **asked, **counts})
        files = [file for file in folder.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
    return ExportReport(
        *(str(dest), to, seen.rows, selection.of, dict(seen.subsets), dict(seen.licenses), len(files), size),
        notes=(*selection.notes, *notes),
    )


class _Seen:
    """Counts rows as they pass."""

    def __init__(self) -> None:
        self.rows = 0
        self.subsets: Counter[str] = Counter()
        self.licenses: Counter[str] = Counter()

    def watch(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """Yield the rows unchanged."""
        for row in rows:
            self.rows += 1
            self.subsets[row["subset"] or ""] += 1
            self.licenses[row.get("license") or ""] += 1
            yield row
