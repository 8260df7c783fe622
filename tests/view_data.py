"""A small data set to look through: drawn tiles, with anchors, warnings and rejections."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from PIL import Image, ImageDraw

from lrs2m_builder.build.commit import Shard
from lrs2m_builder.build.shards import write_shard
from lrs2m_builder.exchange import Attempt
from lrs2m_builder.schema import Anchor, Record, Rejection
from lrs2m_builder.stores.folder import FolderStore
from lrs2m_builder.tokenizer import count_tokens

MODEL = "Qwen/Qwen2.5-VL-7B-Instruct"
SCRIPT = "<script>document.title='broken into'</script><img src=x onerror=\"document.title='broken into'\">"


def draw_tiles(folder: Path, count: int) -> list[str]:
    """Draw `imgs/N.png` with a few boats or buildings each; returns their captions."""
    (folder / "imgs").mkdir(parents=True, exist_ok=True)
    random_, captions = random.Random(0), []
    for number in range(1, count + 1):
        on_water, things = random_.random() < 0.3, random_.randint(2, 7)
        tile = Image.new("RGB", (256, 256), (52, 84, 112) if on_water else (106, 132, 72))
        draw = ImageDraw.Draw(tile)
        for index in range(things):
            left, top = 12 + 34 * index, random_.randint(20, 200)
            draw.rectangle([left, top, left + 24, top + (8 if on_water else 24)], fill=(196, 178, 150))
        tile.save(folder / "imgs" / f"{number}.png")
        captions.append(f"There are {things} {'boats on the water' if on_water else 'buildings along a road'}.")
    return captions


def make_record(number: int, folder: Path, caption: str, **changes: Any) -> Record:
    """A record of a drawn tile; every third text leaves an anchor out."""
    count, what = int(caption.split()[2]), "ship" if "boats" in caption else "building"
    where = caption.split(maxsplit=4)[4]
    if what == "ship":
        anchors = (Anchor("ship", count), Anchor("harbor", 1))
        rest = "Their white hulls are narrow and point to different sides, and no quay or pier is near them."
        rest = (
            rest if number % 3 else "Their white hulls are narrow and point to different sides, and no shore is near."
        )
    else:
        anchors = (Anchor("building", count), Anchor("road", 1), Anchor("small vehicle"))
        rest = "The houses keep a small distance from it, and their shadows fall to the lower right."
        rest += " A few cars are parked beside the first house." if number % 3 else ""
    long = f"The image shows {count} {'boats' if what == 'ship' else 'buildings'} {where} {rest}"
    short = caption
    settings: dict[str, Any] = {
        "sample_id": f"tiles/{number}.png",
        "subset": "tiles",
        "image_name": f"{number}.png",
        "image_path": folder / "imgs" / f"{number}.png",
        "caption_short": short,
        "caption_long": long,
        "short_source": "drawn",
        "long_source": MODEL,
        "num_tokens_short": count_tokens(short),
        "num_tokens_long": count_tokens(long),
        "anchors": anchors,
        "label": "residential",
        "license": "CC0-1.0",
        "recipe": "vector_anchored.v1",
        "prompts": (("vector_anchored.v1", "5f" * 32), ("summarise.v1", "a4" * 32)),
        "model": MODEL,
        "model_revision": "cc594898137f460bfe9f0759e9844b3ce807cfb5",
        "engine": "vllm 0.30.0",
        "seed": 1_604_178_337 + number,
        "attempts": 1 + number % 3,
        "finish_reason": "stop",
        "warnings": ("hedge: The answer guessed.",) if number % 7 == 3 else (),
    }
    return Record(**(settings | changes))


def make_rejection(number: int) -> Rejection:
    """A sample of which three answers were refused."""
    sample_id = f"tiles/{number}.png"
    texts = (f"I am sorry, I cannot see picture {number}.", "There are\nthree boats.", f"Answer 3 {SCRIPT}")
    attempts = [Attempt(sample_id, 0, i, 99 + i, text, "stop", 410, 12 + i) for i, text in enumerate(texts, 1)]
    reason = ("refusal", "anchor_missing")[number % 2]
    return Rejection(sample_id, reason, f"The answer {number} does not name: road", tuple(attempts))


def make_data(out_dir: Path, num_records: int = 60, num_rejected: int = 4, **changes: dict[int, Any]) -> Path:
    """Write a finished build of two shards.

    Args:
        changes: by column, what some records have instead, by their number.
    """
    tiles = out_dir.parent / "tiles"
    captions = draw_tiles(tiles, num_records)
    outcomes: dict[str, Record | Rejection] = {}
    for number in range(1, num_records + 1):
        own = {column: values[number] for column, values in changes.items() if number in values}
        record = make_record(number, tiles, captions[number - 1], **own)
        outcomes[record.sample_id] = record
    for number in range(num_records + 1, num_records + num_rejected + 1):
        outcomes[f"tiles/{number}.png"] = make_rejection(number)
    order, half = list(outcomes), max(1, len(outcomes) // 2)
    random.Random(0).shuffle(order)
    for shard, names in enumerate((order[:half], order[half:])):
        chosen = {name: outcomes[name] for name in names}
        write_shard(Shard(FolderStore(out_dir), "tiles", shard), names, chosen)
    return out_dir
