"""Training scenes, drawn once: their pixels in one array on disk, their truth in one file of lines.

A scene can be looked at in eight ways (mirrored, turned); its truth turns with it, so texts stay true and a few
thousand drawn scenes are worth many times as many.
"""

from __future__ import annotations

import json
import multiprocessing
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lrs2m_builder.images.pixels import resized
from lrs2m_builder.sample.drawing.scene import Scene, SceneObject, draw_scene
from lrs2m_builder.sample.drawing.sketch import SIDE, Point, Sketch

TRAIN_SEED, TEST_SEED, JUDGED_SEED = 1000, 2000, 4000  # the sample source draws seed 0
IMAGE_SIDE = 168  # 6 x 6 image tokens of 28 pixels: two by two make a cell of the 3 x 3 grid that texts speak of
NUM_VIEWS = 8
_CHUNK = 64
_NO_IMAGE = Image.new("RGB", (1, 1))


def draw(folder: Path, num_scenes: int, seed: int = TRAIN_SEED, processes: int = 2) -> None:
    """Draw scenes into a folder; what an earlier run drew there is kept."""
    folder.mkdir(parents=True, exist_ok=True)
    shape = (num_scenes, IMAGE_SIDE, IMAGE_SIDE, 3)
    truth = folder / "truth.jsonl"
    done = sum(1 for _ in truth.open()) if truth.exists() else 0
    pixels = np.lib.format.open_memmap(folder / "pixels.npy", "r+" if done else "w+", np.uint8, shape)
    with truth.open("a") as file, multiprocessing.Pool(processes) as pool:
        for image, line in pool.imap(partial(_drawn, seed), range(done, num_scenes), _CHUNK):
            pixels[done] = image
            file.write(line)
            file.flush()
            done += 1


def _drawn(seed: int, index: int) -> tuple[NDArray[np.uint8], str]:
    scene = draw_scene(seed, index)
    objects = [(o.name, o.color, o.box, o.polygon, o.length, o.width) for o in scene.objects]
    line = {
        "seed": seed,
        "index": index,
        "name": scene.name,
        "land_cover": scene.land_cover,
        "gsd": scene.gsd,
        "sun": scene.sun,
        "shadows": bool(scene.sketch.shadows),
        "objects": objects,
    }
    return np.asarray(shrunk(scene.image)), json.dumps(line) + "\n"


def shrunk(image: Image.Image) -> Image.Image:
    """At the size the model sees, resized as a build resizes it."""
    return resized(image, (IMAGE_SIDE, IMAGE_SIDE))


class Scenes:
    """Drawn scenes, each in several views; with their image tokens where these were computed once for all."""

    def __init__(self, folder: Path, num_views: int = NUM_VIEWS) -> None:
        self.pixels = np.load(folder / "pixels.npy", mmap_mode="r")
        self._lines = (folder / "truth.jsonl").read_text().splitlines()
        self.tokens: NDArray[np.float16] | None = None
        self.num_views = num_views

    def __len__(self) -> int:
        return len(self._lines)

    def __getitem__(self, number: int) -> tuple[NDArray[Any], Scene]:
        """The image and the truth of view number // len of scene number % len: the image's tokens if they are there,
        else its pixels (IMAGE_SIDE, IMAGE_SIDE, 3)."""
        return self.image(number) if self.tokens is None else self.tokens[number], self.truth(number)

    def image(self, number: int) -> NDArray[np.uint8]:
        """The pixels alone."""
        view, index = divmod(number, len(self))
        return turned_pixels(self.pixels[index], view)

    def truth(self, number: int) -> Scene:
        """The truth alone."""
        view, index = divmod(number, len(self))
        return turned(_scene(json.loads(self._lines[index])), view)


def _scene(truth: dict[str, Any]) -> Scene:
    """The scene without its image and drawing."""
    sketch = Sketch(np.random.default_rng(0), truth["gsd"], tuple(truth["sun"]), 0.0, mirrored=False)
    if truth["shadows"]:
        sketch.shadows.append([])
    objects = (
        SceneObject(name, color, tuple(box), tuple(map(tuple, polygon)), length, width)
        for name, color, box, polygon, length, width in truth["objects"]
    )
    return Scene(
        seed=truth["seed"],
        index=truth["index"],
        name=truth["name"],
        land_cover=tuple(truth["land_cover"]),
        gsd=truth["gsd"],
        sun=tuple(truth["sun"]),
        objects=tuple(objects),
        image=_NO_IMAGE,
        sketch=sketch,
    )


def turned_pixels(pixels: NDArray[np.uint8], view: int) -> NDArray[np.uint8]:
    """The image of a view: bit 0 swaps the axes, bit 1 mirrors x, bit 2 mirrors y."""
    pixels = pixels.transpose(1, 0, 2) if view & 1 else pixels
    return pixels[:: -1 if view & 4 else 1, :: -1 if view & 2 else 1]


def turned(scene: Scene, view: int) -> Scene:
    """The truth of a view; another index, so that its texts are worded anew."""
    at = _turn(view)

    def turn_object(thing: SceneObject) -> SceneObject:
        left, top, right, bottom = thing.box
        (x0, y0), (x1, y1) = at((left, top)), at((right, bottom))
        box = (min(x0, x1), min(y0, y1), max(x0, x1), max(y0, y1))
        return replace(thing, box=box, polygon=tuple(map(at, thing.polygon)))

    x, y = at((scene.sun[0] + SIDE / 2, scene.sun[1] + SIDE / 2))
    return replace(
        scene,
        index=NUM_VIEWS * scene.index + view,
        sun=(x - SIDE / 2, y - SIDE / 2),
        objects=tuple(map(turn_object, scene.objects)),
    )


def _turn(view: int) -> Callable[[Point], Point]:
    def at(point: Point) -> Point:
        x, y = point[::-1] if view & 1 else point
        return (SIDE - x if view & 2 else x), (SIDE - y if view & 4 else y)

    return at
