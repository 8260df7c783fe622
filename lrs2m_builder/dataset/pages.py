"""Pages made from templates: reports in HTML, and cards in Markdown."""

from __future__ import annotations

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jinja2 import Environment, StrictUndefined

from lrs2m_builder.files import finished_file

if TYPE_CHECKING:
    from PIL import Image


def render(template: Path, **values: Any) -> str:
    """A template filled in; in HTML values are escaped.

    Args:
        values: by name; a callable is a filter, too, and `cell` makes a value fit a table of Markdown.
    """
    environment = Environment(
        autoescape=".html" in template.suffixes,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"cell": _cell, **{name: value for name, value in values.items() if callable(value)}}
    return environment.from_string(template.read_text(encoding="utf-8")).render(values)


def write_page(path: Path, template: Path, **values: Any) -> None:
    """Write a page atomically (see `render`)."""
    with finished_file(path) as part:
        part.write_text(render(template, **values), encoding="utf-8")


def data_uri(image: Image.Image, width: int, height: int, kind: str, quality: int) -> str:
    """A picture inside a page, no larger than this; `kind` is "jpeg" or "webp"."""
    image.thumbnail((width, height))
    buffer = io.BytesIO()
    image.save(buffer, kind, quality=quality)
    return f"data:image/{kind};base64,{base64.b64encode(buffer.getvalue()).decode()}"


def _cell(value: object) -> str:
    return " ".join(str(value).split()).replace("|", "\\|") or "-"
