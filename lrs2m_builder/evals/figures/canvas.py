"""What the figures share: a new figure, pictures and text on it, and writing it as PNG and SVG."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from PIL import Image

from lrs2m_builder.errors import MissingExtraError
from lrs2m_builder.stores.outputs import save_picture

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RIGHT, WRONG, QUIET = "#1a7f4b", "#b3261e", "0.45"
COLOURS = ("#1f5a8a", "#d98324", "#1a7f4b", "#8c4799", "#b3261e", "#5b6770", "#009aa6", "#a8842c")
DPI = 150


def new_figure(width: float, height: float) -> Figure:
    """An empty figure of that size in inches.

    Raises:
        MissingExtraError: matplotlib is not installed.
    """
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("a figure", "eval", error) from error
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def save_figure(figure: Figure, path: Path) -> list[Path]:
    """Write PNG and SVG under a name whose suffix, if it is one of the two, is replaced; returns both paths."""
    stem = path.with_suffix("") if path.suffix.lower() in {".png", ".svg"} else path
    paths = [stem.with_name(stem.name + suffix) for suffix in (".png", ".svg")]
    for file in paths:
        save_picture(figure, file, dpi=DPI, bbox_inches="tight", pad_inches=0.1)
    return paths


def centre_square(image: Image.Image, side: int) -> Image.Image:
    """The centre square of an image, `side` pixels wide."""
    length = min(image.size)
    left, top = (image.width - length) // 2, (image.height - length) // 2
    return image.crop((left, top, left + length, top + length)).resize((side, side), Image.Resampling.LANCZOS)


def show_picture(axes: Axes, image: Image.Image, *, frame: str | None = None) -> None:
    """Show an image without ticks, with a coloured frame or none."""
    axes.imshow(image)
    axes.set(xticks=[], yticks=[])
    axes.spines[:].set(visible=frame is not None, color=frame or "0", linewidth=4)


def write_words(axes: Axes, text: str, *, width: int, lines: int, **style: Any) -> None:
    """Write text at the left, at most `width` letters per line; what exceeds `lines` is cut. No formulas are parsed."""
    wrapped = textwrap.wrap(" ".join(text.split()), width, max_lines=lines, placeholder=" ...")
    axes.set_axis_off()
    axes.text(0, 0.5, "\n".join(wrapped), va="center", transform=axes.transAxes, parse_math=False, **style)
