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
MIN_WIDTH = 560  # of the page: room for the text and the legend
MAP_SHARE = 0.8  # of the colour of the map where it is highest; where it is lowest, the image is seen as it is
COLOURS = cv2.COLORMAP_PLASMA
FONT_SIZE, MARGIN = 18, 12
BAR, BAR_HEIGHT = 150, 14
WHITE, BLACK, CYAN = (255, 255, 255), (0, 0, 0), (0, 255, 255)
# A wide dark line below a bright one is seen on any ground; neither colour is one of the map's.
UNDER, OVER = 7, 3


def write_overlay(path: Path, image_HWC: np.ndarray, map_HW: np.ndarray, query: Query, found: Indicators) -> None:
    """Write the picture as PNG: text and indicators above, a legend with the colours of the map below."""
    height, width = map_HW.shape
    scale = min(MAX_ENLARGED, SHOWN / max(height, width))
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    image = cv2.resize(image_HWC, size, interpolation=cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC)
    picture = _coloured(image, cv2.resize(map_HW, size, interpolation=cv2.INTER_AREA))
    for polygon in query.polygons:
        _draw_region(picture, np.rint(np.array(polygon) * scale).astype(np.int32))
    for x, y in found.centres:
        _draw_centre(picture, (round(x * scale), round(y * scale)))
    with finished_file(path) as part:
        _page(np.asarray(picture), query.caption, _numbers(found)).save(part, format="PNG")


def _coloured(image_HWC: np.ndarray, map_HW: np.ndarray) -> np.ndarray:
    """The image in the colours of the map, the more the higher the map is."""
    colours = cv2.cvtColor(cv2.applyColorMap(map_HW, COLOURS), cv2.COLOR_BGR2RGB).astype(np.float32)
    share = (MAP_SHARE / 255 * map_HW.astype(np.float32))[..., None]
    mixed: np.ndarray = np.rint(image_HWC * (1 - share) + colours * share).astype(np.uint8)
    return mixed


def _draw_region(picture: np.ndarray, outline: np.ndarray) -> None:
    for colour, thickness in ((BLACK, UNDER), (WHITE, OVER)):
        cv2.polylines(picture, [outline], isClosed=True, color=colour, thickness=thickness, lineType=cv2.LINE_AA)


def _draw_centre(picture: np.ndarray, at: tuple[int, int]) -> None:
    for colour, thickness in ((BLACK, UNDER), (CYAN, OVER)):
        cv2.circle(picture, at, 16, colour, thickness, cv2.LINE_AA)
        cv2.drawMarker(picture, at, colour, cv2.MARKER_CROSS, 16, thickness, cv2.LINE_AA)


def _numbers(found: Indicators) -> str:
    return f"R_su {found.r_su:.4f}   R_as {found.r_as:.4f}   R_da {found.r_da:.4f}   R_mi {found.r_mi:.4f}"


def _page(picture: np.ndarray, title: str, numbers: str) -> Image.Image:
    """The picture with lines of text above it and its legend below."""
    font = ImageFont.load_default(FONT_SIZE)
    width = max(MIN_WIDTH, picture.shape[1])
    letters = (width - 2 * MARGIN) // (FONT_SIZE // 2)
    lines: Sequence[str] = [*textwrap.wrap(title, letters), *textwrap.wrap(numbers, letters)]
    top = 2 * MARGIN + len(lines) * (FONT_SIZE + 6)
    legend = _legend(width)
    page = Image.new("RGB", (width, top + picture.shape[0] + legend.height), WHITE)
    page.paste(Image.fromarray(picture), (0, top))
    page.paste(legend, (0, top + picture.shape[0]))
    draw = ImageDraw.Draw(page)
    for number, line in enumerate(lines):
        draw.text((MARGIN, MARGIN + number * (FONT_SIZE + 6)), line, font=font, fill=BLACK)
    return page


def _legend(width: int) -> Image.Image:
    """What the colours and the marks mean: "low" to "high", a region, a centre of attention."""
    font = ImageFont.load_default(FONT_SIZE - 4)
    band = np.full((44, width, 3), 255, np.uint8)
    ramp = np.tile(np.linspace(0, 255, BAR).astype(np.uint8), (BAR_HEIGHT, 1))
    colours = cv2.cvtColor(cv2.applyColorMap(ramp, COLOURS), cv2.COLOR_BGR2RGB)
    left, middle = MARGIN + 32, 22
    band[middle - BAR_HEIGHT // 2 : middle + BAR_HEIGHT // 2, left : left + BAR] = colours
    region, centre = left + BAR + 60, left + BAR + 244
    corners = [[region, middle - 9], [region + 26, middle - 9], [region + 26, middle + 9], [region, middle + 9]]
    _draw_region(band, np.array(corners, np.int32))
    _draw_centre(band, (centre, middle))
    page = Image.fromarray(band)
    draw = ImageDraw.Draw(page)
    for x, words in (
        (MARGIN, "low"),
        (left + BAR + 6, "high"),
        (region + 36, "region by people"),
        (centre + 24, "centre of attention"),
    ):
        draw.text((x, middle - 9), words, font=font, fill=BLACK)
    return page
