"""Figure 1: what a model finds. A text with the images that are nearest to it, an image with the nearest texts."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from lrs2m_builder.clip.encode import Features, encode_images, encode_texts
from lrs2m_builder.clip.model import Loaded
from lrs2m_builder.errors import UserError
from lrs2m_builder.evals.data import EvalImage
from lrs2m_builder.evals.figures.canvas import (
    QUIET,
    RIGHT,
    WRONG,
    centre_square,
    new_figure,
    save_figure,
    show_picture,
    write_words,
)
from lrs2m_builder.images.load import decode

if TYPE_CHECKING:
    from matplotlib.axes import Axes

SHOWN = 256  # pixels
TEXT_COLUMNS = 2  # columns of pictures that a text takes
LINES = 9


def draw_retrieval_sheet(
    loaded: Loaded,
    images: Sequence[EvalImage],
    path: Path,
    *,
    num_queries: int = 3,
    top_k: int = 5,
    show_progress: bool = True,
) -> list[Path]:
    """Draw texts with their top images, and images with their top texts; returns the two files.

    The queries are taken evenly from the whole set, whether the model finds the right answer or not.

    Args:
        path: its suffix is replaced.

    Raises:
        UserError: no image has a text, or one cannot be read.
    """
    texts = [text for each in images for text in each.texts]
    owners = np.array([number for number, each in enumerate(images) for _ in each.texts], np.int64)
    if not texts:
        raise UserError("no image has a text: there is nothing to retrieve")
    image_features = encode_images(loaded, [each.image for each in images], show_progress=show_progress)
    text_features = encode_texts(loaded, texts, show_progress=show_progress)
    top_k = min(top_k, len(images))
    of_texts, of_images = spread(len(texts), num_queries), spread(len(images), num_queries)
    columns = TEXT_COLUMNS + top_k
    rows = len(of_texts) + len(of_images)
    figure = new_figure(1.75 * columns, 2.15 * rows)
    grid = figure.add_gridspec(rows, columns)
    for row, number in enumerate(of_texts):
        write_words(figure.add_subplot(grid[row, :TEXT_COLUMNS]), texts[number], width=46, lines=LINES, fontsize=9)
        found, scores, rank = nearest(text_features[number], image_features, owners[number : number + 1], top_k)
        for place, (image, score) in enumerate(zip(found, scores, strict=True)):
            axes = figure.add_subplot(grid[row, TEXT_COLUMNS + place])
            is_right = image == owners[number]
            show_picture(axes, _thumbnail(images[image]), frame=RIGHT if is_right else None)
            axes.set_title(f"{place + 1}   {score:.3f}", fontsize=8, color=RIGHT if is_right else QUIET)
            if place == 0 and rank > top_k:
                axes.set_xlabel(f"its image: rank {rank:,}", fontsize=8, color=WRONG)
    for row, number in enumerate(of_images, start=len(of_texts)):
        show_picture(figure.add_subplot(grid[row, 0]), _thumbnail(images[number]))
        right = np.flatnonzero(owners == number)
        found, scores, rank = nearest(image_features[number], text_features, right, top_k)
        axes = figure.add_subplot(grid[row, 1:])
        _list_texts(
            axes, [(texts[text], score, text in right) for text, score in zip(found, scores, strict=True)], columns
        )
        if rank > top_k and len(right):
            axes.set_title(f"its first text: rank {rank:,}", fontsize=8, color=WRONG, loc="left")
    return save_figure(figure, path)


def spread(total: int, wanted: int) -> list[int]:
    """Evenly spaced numbers from 0 to total - 1."""
    return [int(number) for number in np.unique(np.linspace(0, total - 1, min(total, wanted)).round())]


def nearest(
    query_D: np.ndarray, features: Features, right: np.ndarray, top_k: int
) -> tuple[list[int], list[float], int]:
    """The top candidates, their cosines, and the rank of the best right one; of equal ones the lower number first."""
    scores = features @ query_D
    order = np.argsort(-scores, kind="stable")
    rank = int(np.flatnonzero(np.isin(order, right))[0]) + 1 if len(right) else 0
    return [int(number) for number in order[:top_k]], [float(scores[number]) for number in order[:top_k]], rank


def _thumbnail(image: EvalImage) -> Image.Image:
    return centre_square(decode(image.image), SHOWN)


def _list_texts(axes: Axes, found: Sequence[tuple[str, float, bool]], columns: int) -> None:
    """Texts under one another with their cosines, the right ones in green; `columns` is how wide the figure is."""
    axes.set_axis_off()
    for place, (text, score, is_right) in enumerate(found):
        words = "\n".join(textwrap.wrap(" ".join(text.split()), 17 * columns, max_lines=2, placeholder=" ..."))
        height = 1 - (place + 0.5) / len(found)
        style: dict[str, Any] = {
            "va": "center",
            "fontsize": 8,
            "color": RIGHT if is_right else "0.15",
            "transform": axes.transAxes,
        }
        axes.text(0.02, height, f"{score:.3f}", **style)
        axes.text(0.08, height, words, parse_math=False, fontweight="bold" if is_right else "normal", **style)
