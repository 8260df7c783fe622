"""The four indicators of a localization map against the regions that people drew (Yuan et al. 2022).

R_su: how much of the map's weight lies in the regions. R_as: how far its peaks are from their centres (0 is best).
R_da: whether a region has one peak. R_mi: all three together.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from lrs2m_builder.errors import UserError

Polygon = Sequence[tuple[float, float]]
BLUR_SIZE, NUM_BLURS = 50, 5
PEAK_SIZE = 1000  # pixels: a peak is the highest of so large a square
LOWEST_PEAK = 128  # of 255: at least one half
SU_SCALE = 0.707
RADIUS_FACTOR = 1.5
WEIGHT_SU, WEIGHT_AS, WEIGHT_DA = 0.4, 0.35, 0.25


@dataclass(frozen=True, slots=True)
class Indicators:
    """0 to 1 each; of R_as the lower is better.

    Attributes:
        centres: (x, y) of the attention centres in pixels.
    """

    r_su: float
    r_as: float
    r_da: float
    r_mi: float
    centres: tuple[tuple[int, int], ...] = ()


@dataclass(frozen=True, slots=True)
class Region:
    """Centre and radius of a polygon in whole pixels."""

    x: int
    y: int
    radius: int


def measure(map_HW: np.ndarray, polygons: Sequence[Polygon]) -> Indicators:
    """The indicators of a map, uint8 (255 is 1).

    Raises:
        UserError: the polygons cover no pixel of the map.
    """
    mask = fill(polygons, map_HW.shape)
    regions = [make_region(polygon) for polygon in polygons]
    centres = attention_centres(map_HW)
    inside = [_distances(region, centres) for region in regions]
    r_su = _significant_area(map_HW, mask)
    r_as = _attention_shift(regions, inside)
    r_da = _discrete_attention(regions, inside)
    r_mi = WEIGHT_SU * r_su + WEIGHT_AS * (1 - r_as) + WEIGHT_DA * r_da
    return Indicators(r_su, r_as, r_da, r_mi, tuple(centres))


def fill(polygons: Sequence[Polygon], shape: tuple[int, ...]) -> np.ndarray:
    """1 inside the polygons and on their outlines, else 0; what two of them share is outside, as published."""
    mask = np.zeros(shape[:2], np.uint8)
    cv2.fillPoly(mask, [np.array(polygon).astype(np.int32) for polygon in polygons], 1)
    if not mask.any():
        raise UserError(
            f"the polygons cover no pixel of an image of {shape[1]} x {shape[0]} pixels; is it its full size?"
        )
    return mask


def make_region(polygon: Polygon) -> Region:
    """The mean of the vertices, and 1.5 times their mean distance from it, both cut to whole pixels."""
    vertices = np.array(polygon, dtype=np.float64)
    x, y = (int(value) for value in vertices.mean(axis=0))
    distance = np.hypot(vertices[:, 0] - x, vertices[:, 1] - y).mean()
    return Region(x, y, max(1, int(RADIUS_FACTOR * distance)))  # a speck has no radius to divide by


def attention_centres(map_HW: np.ndarray) -> list[tuple[int, int]]:
    """(x, y) of the peaks of the blurred map where the map itself is at least one half."""
    blurred = map_HW
    for _ in range(NUM_BLURS):
        blurred = cv2.blur(blurred, (BLUR_SIZE, BLUR_SIZE))
    # The highest of a square is the highest along the columns of the highest along the rows: 2000 reads, not a million.
    highest = cv2.dilate(blurred, np.ones((1, PEAK_SIZE), np.uint8))
    highest = cv2.dilate(highest, np.ones((PEAK_SIZE, 1), np.uint8))
    peaks = ((blurred == highest) & (blurred > 0)).astype(np.uint8)
    _, _, _, centroids = cv2.connectedComponentsWithStats(peaks, connectivity=8)
    found = [(int(x), int(y)) for x, y in centroids[1:]]  # the first is what is no peak
    return [(x, y) for x, y in found if map_HW[y, x] >= LOWEST_PEAK]


def _distances(region: Region, centres: Sequence[tuple[int, int]]) -> dict[tuple[int, int], float]:
    """The centres within the radius of a region, and how far from its centre each is."""
    distances = {(x, y): math.hypot(x - region.x, y - region.y) for x, y in centres}
    return {centre: distance for centre, distance in distances.items() if distance <= region.radius}


def _significant_area(map_HW: np.ndarray, mask: np.ndarray) -> float:
    """R_su: weight inside over weight outside, per pixel, brought to 0 .. 1."""
    inside = float(map_HW[mask > 0].sum(dtype=np.int64)) / 255
    total = float(map_HW.sum(dtype=np.int64)) / 255
    area = int(mask.sum(dtype=np.int64))
    weight = inside / (total - inside + 1e-7) * ((mask.size - area) / area)
    return 1 - math.exp(-SU_SCALE * weight)


def _attention_shift(regions: Sequence[Region], inside: Sequence[dict[tuple[int, int], float]]) -> float:
    """R_as: mean distance of the peaks of each region over its radius; 1 if it has none."""
    shifts = [
        float(np.mean(list(found.values()))) / region.radius if found else 1.0
        for region, found in zip(regions, inside, strict=True)
    ]
    return (math.exp(3 * float(np.mean(shifts))) - 1) / (math.exp(3) - 1)


def _discrete_attention(regions: Sequence[Region], inside: Sequence[dict[tuple[int, int], float]]) -> float:
    """R_da: 1 for a region of one peak, 0 for none; several count less, the more and the farther apart they are."""
    return float(np.mean([_discreteness(region, list(found)) for region, found in zip(regions, inside, strict=True)]))


def _discreteness(region: Region, centres: Sequence[tuple[int, int]]) -> float:
    if len(centres) < 2:
        return float(len(centres))
    points = np.array(centres, dtype=np.float64)
    spread = np.linalg.norm(points - points.mean(axis=0), axis=1).mean()
    return float(0.5 * (1 - spread / region.radius) + math.exp(-0.5 * (len(centres) + 2)))
