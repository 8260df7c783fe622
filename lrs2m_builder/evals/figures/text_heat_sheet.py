"""Figure 2: an image as the model sees it, and where each text looks in it."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from lrs2m_builder.clip.model import Loaded
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.evals.figures.canvas import centre_square, new_figure, save_figure, show_picture
from lrs2m_builder.evals.figures.text_heat import text_heat
from lrs2m_builder.images.load import decode

SHOWN = 448  # pixels a side
COLUMNS = 4


def draw_text_heat(loaded: Loaded, image_path: Path, texts: Sequence[str], path: Path) -> list[Path]:
    """Draw a panel for the image and one for each text with the heat of its patches over it; returns the two files.

    The warmest patch of each panel is 1: panels show where, and the cosines above them how much.

    Raises:
        UserError: no text, or the image cannot be read.
    """
    if not texts:
        raise UserError("figure 2 wants a text; give --text, or a text file beside the image")
    try:
        image = decode(image_path)
    except SampleError as error:
        raise UserError(f"--image {image_path}: {error}") from error
    view = centre_square(image, SHOWN)  # what the model's preprocessing keeps
    columns = min(COLUMNS, len(texts) + 1)
    rows = -(-(len(texts) + 1) // columns)
    figure = new_figure(3.1 * columns, 3.9 * rows)
    show_picture(axes := figure.add_subplot(rows, columns, 1), view)
    axes.set_title("as the model sees it", fontsize=9, loc="left")
    for number, text in enumerate(texts, start=2):
        heat, cosine = text_heat(loaded, image, text)
        axes = figure.add_subplot(rows, columns, number)
        show_picture(axes, view)
        layer = axes.imshow(_enlarged(heat), cmap="inferno", alpha=0.55, vmin=0, vmax=1)
        words = "\n".join(textwrap.wrap(" ".join(text.split()), 44, max_lines=5, placeholder=" ..."))
        axes.set_title(f"{words}\ncosine {cosine:.3f}", fontsize=8, loc="left", parse_math=False)
    bar = figure.colorbar(layer, ax=figure.axes, shrink=0.7, aspect=30, pad=0.01)
    bar.set_label("heat (Grad-ECLIP)", fontsize=8)
    bar.ax.tick_params(labelsize=7)
    return save_figure(figure, path)


def _enlarged(heat: np.ndarray) -> np.ndarray:
    """Interpolate from one value per patch to one per pixel."""
    large = Image.fromarray(heat.astype(np.float32)).resize((SHOWN, SHOWN), Image.Resampling.BICUBIC)
    return np.clip(np.asarray(large), 0, 1)
