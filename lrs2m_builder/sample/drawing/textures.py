"""Ground textures of the sample world: generated once from fixed seeds, cropped and tinted for every scene.

All arithmetic is on integers (Pillow's fixed-point resize, numpy's int16), so that every machine makes the same bytes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw

GRAIN = 6
SIDE = 512  # of a texture; a scene uses a piece from anywhere in it
RGB = tuple[int, int, int]
Pixels = NDArray[np.uint8]


def _random(key: int) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([20250319, key])))


def _noise(key: int, *octaves: tuple[int, int, int], reach: int) -> NDArray[np.int16]:
    """Smooth noise (SIDE, SIDE) in -reach..reach: the sum of random grids (rows, columns, weight), enlarged."""
    random_, total = _random(key), np.zeros((SIDE, SIDE), np.int32)
    for rows, columns, weight in octaves:
        grid = random_.integers(0, 256, (rows, columns), dtype=np.uint8)
        big = Image.fromarray(grid).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
        total += (np.asarray(big, np.int32) - 128) * weight
    weights = sum(weight for *_, weight in octaves)
    return (total * reach // (96 * weights)).astype(np.int16)


def _colored(color: RGB, *noises: NDArray[np.int16]) -> Pixels:
    value = sum(noises[1:], start=noises[0])[..., None]
    return np.clip(np.array(color, np.int16) + value, 0, 255).astype(np.uint8)


def _grass(color: RGB = (104, 127, 74)) -> Pixels:
    patches = _noise(1, (6, 6, 2), (24, 24, 1), reach=20)
    blades = _noise(2, (256, 256, 1), (SIDE, SIDE, 2), reach=14)
    pixels = _colored(color, patches, blades).astype(np.int16)
    pixels[..., 0] += _noise(3, (10, 10, 1), reach=12)  # drier and greener spots
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _soil() -> Pixels:
    clods = _noise(5, (160, 160, 1), (SIDE, SIDE, 1), reach=14)
    return _colored((152, 124, 94), _noise(4, (8, 8, 2), (40, 40, 1), reach=18), clods)


def _sand() -> Pixels:
    """Dunes: ridges across the wind, bent by slow noise, lit on one side."""
    rows, columns = np.mgrid[0:SIDE, 0:SIDE].astype(np.int32)
    bend = _noise(6, (5, 5, 2), (12, 12, 1), reach=60).astype(np.int32)
    phase = (columns * 2 + rows + bend) % 46
    ridge = np.where(phase < 34, phase * 22 // 34 - 8, (46 - phase) * 36 // 12 - 22).astype(np.int16)
    grains = _noise(7, (8, 8, 2), (SIDE, SIDE, 1), reach=12)
    return _colored((212, 186, 142), ridge // 2, grains)


def _furrows(key: int, color: RGB, period: int, depth: int) -> Pixels:
    rows = np.arange(SIDE, dtype=np.int32)[:, None]
    wobble = _noise(key, (4, 24, 1), reach=2).astype(np.int32)
    stripe = np.where((rows * 4 + wobble) % (4 * period) < 2 * period, depth, -depth).astype(np.int16)
    return _colored(color, stripe, _noise(key + 1, (6, 6, 2), (64, 64, 1), (SIDE, SIDE, 1), reach=16))


def _forest() -> Pixels:
    """Adjacent crowns, each darker on one side; centres may lie beyond the edge, so that the border is covered too."""
    random_, picture = _random(20), Image.new("RGB", (SIDE, SIDE), (30, 48, 30))
    draw = ImageDraw.Draw(picture)
    for x, y, r, shade in zip(
        random_.integers(-6, SIDE + 6, 9000).tolist(),
        random_.integers(-6, SIDE + 6, 9000).tolist(),
        random_.integers(4, 9, 9000).tolist(),
        random_.integers(-14, 18, 9000).tolist(),
        strict=True,
    ):
        green = (52 + shade, 82 + shade, 44 + shade // 2)
        draw.ellipse([x - r, y - r, x + r, y + r], fill=(green[0] - 22, green[1] - 28, green[2] - 18))
        draw.ellipse([x - r, y - r, x + r - 2, y + r - 2], fill=green)
        draw.ellipse([x - r + 1, y - r + 1, x + r - 4, y + r - 4], fill=(green[0] + 10, green[1] + 12, green[2] + 6))
    leaves = _noise(21, (10, 10, 2), (SIDE, SIDE, 1), reach=16)
    return np.clip(np.asarray(picture, np.int16) + leaves[..., None], 0, 255).astype(np.uint8)


def _water() -> Pixels:
    waves = _noise(31, (200, 60, 3), (SIDE, 180, 2), reach=9)
    return _colored((50, 88, 112), _noise(30, (5, 5, 2), (12, 12, 1), reach=13), waves)


def _concrete() -> Pixels:
    """Slabs with joints and stains."""
    pixels = _colored((172, 170, 163), _noise(40, (8, 8, 2), (60, 60, 1), (SIDE, SIDE, 1), reach=13)).astype(np.int16)
    tones = _random(41).integers(-5, 6, (SIDE // 16, SIDE // 16), dtype=np.int16)
    pixels += np.repeat(np.repeat(tones, 16, 0), 16, 1)[..., None]
    pixels[::16] -= 14
    pixels[:, ::16] -= 14
    return np.clip(pixels, 0, 255).astype(np.uint8)


def _gravel() -> Pixels:
    stones = _noise(61, (SIDE, SIDE, 1), reach=14)
    return _colored((176, 164, 145), _noise(60, (7, 7, 2), (90, 90, 1), reach=16), stones)


_MAKERS: dict[str, Callable[[], Pixels]] = {
    "grass": _grass,
    "dry grass": lambda: _grass((142, 140, 92)),
    "bare soil": _soil,
    "sand": _sand,
    "crops": lambda: _furrows(10, (116, 138, 70), 4, 10),
    "ploughed": lambda: _furrows(12, (148, 116, 84), 3, 11),
    "stubble": lambda: _furrows(14, (190, 170, 110), 5, 8),
    "forest": _forest,
    "water": _water,
    "concrete": _concrete,
    "gravel": _gravel,
}


@cache
def texture(name: str) -> Image.Image:
    """The texture of a name, SIDE x SIDE."""
    return Image.fromarray(_MAKERS[name]())


@cache
def _grain() -> Image.Image:
    grain = _random(70).integers(0, 2 * GRAIN + 1, (SIDE, SIDE), dtype=np.uint8)
    return Image.fromarray(grain).convert("RGB")


_MIRRORED = (
    None,
    Image.Transpose.FLIP_LEFT_RIGHT,
    Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_180,
)
_TURNED = (
    Image.Transpose.TRANSPOSE,
    Image.Transpose.ROTATE_90,
    Image.Transpose.ROTATE_270,
    Image.Transpose.TRANSVERSE,
)


def cut(name: str, random_: np.random.Generator, side: int, turned: bool = False) -> Image.Image:
    """A piece from a random position of a texture, mirrored at random; `turned` swaps rows and columns."""
    left, top, way = random_.integers(0, (SIDE - side, SIDE - side, 4)).tolist()
    piece = texture(name).crop((left, top, left + side, top + side))
    method = (_TURNED if turned else _MIRRORED)[way]
    return piece if method is None else piece.transpose(method)


def add_grain(image: Image.Image, random_: np.random.Generator) -> Image.Image:
    """The image with a sensor's noise of up to GRAIN steps."""
    left, top = random_.integers(0, SIDE - image.width, 2).tolist()
    grain = _grain().crop((left, top, left + image.width, top + image.height))
    return ImageChops.add(image, grain, 1, -GRAIN)
