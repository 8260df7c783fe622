"""Overhead tiles drawn on the spot, with captions: a tiny source in the format of UCM-Captions."""

from __future__ import annotations

import json
import random
from pathlib import Path

from PIL import Image, ImageDraw, ImageFilter

SIDE = 256
GROUND = {"meadow": (106, 132, 72), "farmland": (150, 134, 84), "bare land": (168, 146, 112), "water": (52, 84, 112)}
ROOFS = ((168, 84, 66), (142, 142, 146), (196, 178, 150), (94, 78, 72))


def draw_tiles(out_dir: Path, count: int, seed: int = 0) -> Path:
    """Draw tiles and write them with their captions: `imgs/N.png` and `dataset.json` below `out_dir`."""
    images = []
    (out_dir / "imgs").mkdir(parents=True, exist_ok=True)
    for number in range(1, count + 1):
        random_ = random.Random(seed * 1_000_003 + number)
        tile, captions = _draw(random_)
        tile.save(out_dir / "imgs" / f"{number}.png")
        sentences = [{"raw": caption} for caption in captions]
        images.append({"filename": f"{number}.png", "split": "train", "imgid": number - 1, "sentences": sentences})
    (out_dir / "dataset.json").write_text(json.dumps({"images": images, "dataset": "drawn"}), encoding="utf-8")
    return out_dir


def _draw(random_: random.Random) -> tuple[Image.Image, list[str]]:
    ground = random_.choice(sorted(GROUND))
    tile = Image.effect_noise((SIDE, SIDE), 28).convert("RGB")
    tile = Image.blend(tile, Image.new("RGB", tile.size, GROUND[ground]), 0.82)
    draw = ImageDraw.Draw(tile)
    if ground == "water":
        count, thing = random_.randint(2, 6), "boats"
        for _ in range(count):
            x, y = random_.randint(20, SIDE - 60), random_.randint(20, SIDE - 30)
            draw.polygon([(x, y + 6), (x + 26, y), (x + 36, y + 6), (x + 26, y + 12)], fill=(236, 236, 232))
    else:
        count, thing = random_.randint(2, 7), "buildings"
        road = random_.randint(90, 150)
        draw.rectangle([0, road, SIDE, road + 18], fill=(112, 112, 116))
        for index in range(count):
            x, above = 12 + index * 34, random_.random() < 0.5
            width, height = random_.randint(18, 28), random_.randint(18, 40)
            top = road - 10 - height if above else road + 28
            draw.rectangle([x + 4, top + 4, x + width + 4, top + height + 4], fill=(48, 50, 46))
            draw.rectangle([x, top, x + width, top + height], fill=random_.choice(ROOFS))
            draw.line([x, top + height / 2, x + width, top + height / 2], fill=(60, 56, 54))
    where = "on the water" if ground == "water" else f"along a road through {ground}"
    captions = [f"There are {count} {thing} {where}.", f"Several {thing} {where}."]
    return tile.filter(ImageFilter.GaussianBlur(0.6)), captions
