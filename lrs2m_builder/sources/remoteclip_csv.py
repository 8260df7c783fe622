"""RemoteCLIP's caption lists (Det-10, Seg-4, Ret-3): TAB-separated, `title` and `filename`, several rows per image.

The texts were made from boxes and masks by rule, often end in " .", and contain no counts. An image's rows need not
be adjacent.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.sources._base import SourceRow


def read(path: Path, text_column: str = "title", image_column: str = "filename") -> Iterator[SourceRow]:
    """Yield one row per image with all its texts, in order of the images' first occurrence.

    Args:
        text_column, image_column: names in the header; the default is RemoteCLIP's, SkyScript's differ.

    Raises:
        UserError: a column is missing, or a line is too short (the message gives the line).
    """
    captions: dict[str, list[str]] = {}
    with path.open(encoding="utf-8-sig", newline="") as file:
        delimiter = "\t" if "\t" in file.readline() else ","
        file.seek(0)
        lines = csv.DictReader(file, delimiter=delimiter)
        try:
            if missing := sorted({text_column, image_column} - set(lines.fieldnames or ())):
                header = ", ".join(lines.fieldnames or ()) or "none"
                raise UserError(f"{path}: line 1: no column {missing[0]!r}; found: {header}")
            for line in lines:
                text, image = line[text_column], line[image_column]
                if text is None or not image:
                    raise UserError(f"{path}: line {lines.line_num}: no {text_column} or no {image_column}")
                if delimiter == "\t" and "\t" in text:
                    raise UserError(
                        f"{path}: line {lines.line_num}: the {text_column} that ends here begins with a quotation "
                        "mark and spans other lines; double that mark and quote the text, or remove the mark"
                    )
                captions.setdefault(image, []).append(text)
        except (csv.Error, UnicodeDecodeError) as error:
            raise UserError(f"{path}: after line {lines.line_num}: not readable as CSV: {error}") from error
    for image, texts in captions.items():
        yield SourceRow(image, captions=tuple(texts))
