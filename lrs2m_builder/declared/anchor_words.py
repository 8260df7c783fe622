"""Where labelled objects are, in words for a prompt: "two in the upper left, one on the right"."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from lrs2m_builder.checks.reading.number_words import spoken
from lrs2m_builder.schema import Anchor, Box, Sample

CELLS = (
    ("in the upper left", "at the top", "in the upper right"),
    ("on the left", "in the center", "on the right"),
    ("in the lower left", "at the bottom", "in the lower right"),
)
HALVES = (("left", "right"), ("upper", "lower"))
MAX_PLACES = 3  # of a class; more are a list that no caption repeats
MAX_NUMBER = 12  # objects of a class that are told apart
MARGIN = 1 / 24  # of the image's side: nearer to a border, an object's middle is on neither side of it
MAX_EXTENT = 1 / 2  # of the image's side: what is larger is in no third


def places_in_words(sample: Sample) -> dict[str, str]:
    """Where the objects of each class are, by the name of its anchor; only of classes of which the boxes tell it.

    By thirds of the image if the middle of every object lies clearly in one and they are at most MAX_PLACES places;
    else by the half that holds them all.
    """
    size = sample.image_size
    if size is None:
        return {}
    words = {anchor.name: _places(anchor, size) for anchor in sample.anchors if anchor.boxes}
    return {name: text for name, text in words.items() if text}


def _places(anchor: Anchor, size: tuple[int, int]) -> str:
    thirds = [_third(box, size) for box in anchor.boxes]
    places = Counter(words for words in thirds if words)
    if "" in thirds or len(places) > MAX_PLACES or (len(places) > 1 and len(thirds) > MAX_NUMBER):
        return _half(anchor.boxes, size)
    if len(places) == 1:
        return next(iter(places))
    if anchor.count is None:  # of cut objects, no number is said
        return " and ".join(places)
    return ", ".join(f"{spoken(number)} {words}" for words, number in places.items())


def _third(box: Box, size: tuple[int, int]) -> str:
    """The words for the cell of a grid of three by three; "" near a border of two, or for a large object."""
    cells = []
    for low, high, side in ((box[1], box[3], size[1]), (box[0], box[2], size[0])):
        middle, extent = (low + high) / 2 / side, (high - low) / side
        if extent > MAX_EXTENT or any(abs(middle - border) < MARGIN for border in (1 / 3, 2 / 3)):
            return ""
        cells.append(min(2, int(3 * middle)))
    row, column = cells
    return CELLS[row][column]


def _half(boxes: Sequence[Box], size: tuple[int, int]) -> str:
    """The words for the half that holds the middle of every box, clearly; "" if none does."""
    for axis, names in enumerate(HALVES):
        middles = [(box[axis] + box[axis + 2]) / 2 / size[axis] for box in boxes]
        extent = max((box[axis + 2] - box[axis]) / size[axis] for box in boxes)
        sides = [max(middles) <= 1 / 2 - MARGIN, min(middles) >= 1 / 2 + MARGIN]
        for name, is_there in zip(names, sides, strict=True):
            if is_there and extent <= MAX_EXTENT:
                return f"in the {name} half of the image"
    return ""
