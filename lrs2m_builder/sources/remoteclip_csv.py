"""RemoteCLIP's caption lists (Det-10, Seg-4, Ret-3): TAB-separated, `title` and `filename`, several rows an image.

The texts were made from boxes and masks by rule, often end in " .", and hold no counts. An image's rows need not
stand together.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources._base import SourceRow


def read(path: Path, text_column: str = "title", image_column: str = "filename") -> Iterator[SourceRow]:
    """Yield one row an image with all its texts, in the order in which the images first occur.

    Args:
        text_column, image_column: names in the header; RemoteCLIP's are the default, SkyScript's differ.

    Raises:
        UserError: the columns are not there or a line is short (the line is named).
    """
    captions: dict[str, list[str]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        delimiter = "\t" if "\t" in file.readline() else ","
        file.seek(0)
        lines = csv.DictReader(file, delimiter=delimiter)
        try:
            if missing := sorted({text_column, image_column} - set(lines.fieldnames or ())):
                found = ", ".join(lines.fieldnames or ()) or "none"
                raise UserError(f"{path}: line 1: no column {missing[0]!r}; found: {found}")
            for line in lines:
                text, image = line[text_column], line[image_column]
                if text is None or not image:
                    raise UserError(f"{path}: line {lines.line_num}: no {text_column} or no {image_column}")
                if delimiter == "\t" and "\t" in text:
                    raise UserError(
                        f"{path}: line {lines.line_num}: the {text_column} that ends here begins with a quotation "
                        "mark and holds other lines; double that mark and put the text in marks, or leave it out"
                    )
                captions.setdefault(image, []).append(text)
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path}: after line {lines.line_num}: not readable as CSV: {error}") from error
    for image, texts in captions.items():
        yield SourceRow(image, captions=tuple(texts))
