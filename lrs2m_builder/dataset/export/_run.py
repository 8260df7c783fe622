"""`lrs2m export`: a finished data set in the form that a trainer or an annotator reads."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from lrs2m_builder import __version__
from lrs2m_builder.dataset.export import load_format
from lrs2m_builder.dataset.export._base import ImageChoice, Options
from lrs2m_builder.dataset.selection import Filters, read_rows, select
from lrs2m_builder.errors import UserError
from lrs2m_builder.files import write_json
from lrs2m_builder.stores.outputs import finished_folder


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What was written.

    Attributes:
        rows: of the data set that were wanted, `of` so many.
        subsets, licenses: rows by subset and by licence.
        bytes: of all files.
    """

    dest: str
    format: str
    rows: int
    of: int
    subsets: dict[str, int]
    licenses: dict[str, int]
    files: int
    bytes: int


def export(
    path: Path, to: str, dest: Path, filters: Filters, options: Options, images: ImageChoice | None = None
) -> ExportReport:
    """Write the wanted rows of a data set in another format, in their order, in bounded memory.

    Args:
        dest: a new folder; it appears complete, by rename, with an `export.json` that says what was asked for.
        images: None takes the format's default.

    Raises:
        UserError: no such data, format or rows, a setting that the format does not know, `dest` is there, disk full.
    """
    format_ = load_format(to)
    if images is not None and images not in format_.IMAGES:
        raise UserError(f"--images {images}: {to} can {' or '.join(format_.IMAGES)}")
    if options.lines and to != "json":
        raise UserError(f"--lines: {to} has no lines; leave it out, or export --to json")
    options = replace(options, images=images or format_.IMAGES[0])
    with finished_folder(dest, "export") as folder:
        selection = select(path, filters)
        seen = _Seen()
        rows = read_rows(selection, with_images=options.images != "reference")
        format_.write(seen.watch(rows), folder, options)
        if seen.rows != selection.num_rows:
            raise AssertionError(f"{path}: {selection.num_rows} rows wanted, {seen.rows} written")
        asked = {"filters": asdict(filters), "options": asdict(options)}
        counts = {"rows": seen.rows, "of": selection.of, "subsets": seen.subsets, "licenses": seen.licenses}
        write_json(folder / "export.json", {"lrs2m-builder": __version__, "format": to, **asked, **counts})
        files = [file for file in folder.rglob("*") if file.is_file()]
        size = sum(file.stat().st_size for file in files)
    return ExportReport(
        str(dest), to, seen.rows, selection.of, dict(seen.subsets), dict(seen.licenses), len(files), size
    )


class _Seen:
    """Counts rows on their way."""

    def __init__(self) -> None:
        self.rows = 0
        self.subsets: Counter[str] = Counter()
        self.licenses: Counter[str] = Counter()

    def watch(self, rows: Iterator[dict[str, Any]]) -> Iterator[dict[str, Any]]:
        """The rows as they are."""
        for row in rows:
            self.rows += 1
            self.subsets[row["subset"] or ""] += 1
            self.licenses[row.get("license") or ""] += 1
            yield row
