"""A picture of a localization: the map over the image, the regions that people drew, the centres that the map has."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from lrs2m_builder.evals.selo.indicators import Indicators
from lrs2m_builder.evals.selo.queries import Query
from lrs2m_builder.files import finished_file

SHOWN = 1100  # pixels of the longer side; a small image is enlarged so far at most
MAX_ENLARGED = 4
MIN_WIDTH = 560  # of the page: room for the text
MAP_SHARE = 0.45
FONT_SIZE, MARGIN = 18, 12
WHITE, BLACK = (255, 255, 255), (0, 0, 0)


def write_overlay(path: Path, image_HWC: np.ndarray, map_HW: np.ndarray, query: Query, found: Indicators) -> None:
    """Write the picture as PNG: polygons in white, attention centres as circled crosses, text and indicators above."""
    height, width = map_HW.shape
    scale = min(MAX_ENLARGED, SHOWN / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    colours = cv2.applyColorMap(cv2.resize(map_HW, size, interpolation=cv2.INTER_AREA), cv2.COLORMAP_TURBO)
    picture = cv2.addWeighted(image, 1 - MAP_SHARE, cv2.cvtColor(colours, cv2.COLOR_BGR2RGB), MAP_SHARE, 0)
    outlines = [np.rint(np.array(polygon) * scale).astype(np.int32) for polygon in query.polygons]
    for colour, thickness in ((BLACK, 5), (WHITE, 2)):
        cv2.polylines(picture, outlines, isClosed=True, color=colour, thickness=thickness, lineType=cv2.LINE_AA)
        for x, y in found.centres:
            at = (round(x * scale), round(y * scale))
            cv2.circle(picture, at, 14, colour, thickness, cv2.LINE_AA)
            cv2.drawMarker(picture, at, colour, cv2.MARKER_CROSS, 16, thickness, cv2.LINE_AA)
    with finished_file(path) as part:
        _titled(np.asarray(picture), query.caption, _numbers(found)).save(part, format="PNG")


def _numbers(found: Indicators) -> str:
    return f"R_su {found.r_su:.4f}   R_as {found.r_as:.4f}   R_da {found.r_da:.4f}   R_mi {found.r_mi:.4f}"


def _titled(picture: np.ndarray, title: str, numbers: str) -> Image.Image:
    """The picture with lines of text above it."""
    font = ImageFont.load_default(FONT_SIZE)
    width = max(MIN_WIDTH, picture.shape[1])
    letters = (width - 2 * MARGIN) // (FONT_SIZE // 2)
    lines: Sequence[str] = [*textwrap.wrap(title, letters), *textwrap.wrap(numbers, letters)]
    top = 2 * MARGIN + len(lines) * (FONT_SIZE + 6)
    page = Image.new("RGB", (width, picture.shape[0] + top), WHITE)
    page.paste(Image.fromarray(picture), (0, top))
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + number * (FONT_SIZE + 6)), line, font=font, fill=BLACK)
    return page
