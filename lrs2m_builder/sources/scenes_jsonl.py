"""Scenes of the sample world (`lrs2m sample`): one line per scene with all its facts.

{"image", "scene", "captions": [...], "caption_short", "caption_long", "objects": [{"class", "box", ...}], ...}
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from lrs2m_builder.errors import UserError
from lrs2m_builder.schema import Anchor, Box
from lrs2m_builder.sources._base import SourceRow


def read(path: Path) -> Iterator[SourceRow]:
    """Yield one row per scene, in file order; its classes and their counts are the anchors.

    Raises:
        UserError: a line is not of this form (the message gives the line).
    """
    with path.open(encoding="utf-8-sig") as file:
        for number, line in enumerate(file, start=1):
            try:
                scene = json.loads(line)
                counts = Counter(thing["class"] for thing in scene["objects"])
                boxes: dict[str, list[Box]] = {name: [] for name in counts}
                for thing in scene["objects"]:
                    left, top, right, bottom = map(float, thing["box"])
                    boxes[thing["class"]].append((left, top, right, bottom))
                texts = [scene["image"], scene["caption_long"], scene["scene"], *scene["captions"], *counts]
                if not isinstance(scene["captions"], list) or not all(isinstance(text, str) for text in texts):
                    raise TypeError("a text or a class is not a string, or captions is not a list")
            except (ValueError, KeyError, TypeError, RecursionError) as error:
                raise UserError(f"{path}: line {number}: not a scene of the sample world: {error!r}") from error
            yield SourceRow(
                scene["image"],
                captions=tuple(scene["captions"]),
                caption_long=scene["caption_long"],
                label=scene["scene"],
                anchors=tuple(Anchor(name, count, tuple(boxes[name])) for name, count in sorted(counts.items())),
            )
