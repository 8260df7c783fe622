"""What a source format yields: rows as they stand in the files, before images are found and texts normalised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lrs2m_builder.images.part import Part
from lrs2m_builder.schema import Anchor, ImageRef


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One image as an annotation file names it, with its texts as they stand there.

    Attributes:
        image_name: unique in its source; a path with "/" where the source has folders.
        anchors_in: makes the anchors of labels that must be laid over the image first; raises a SampleError that says
            why there are none.
        image: where the image is, if the source itself holds it; None has it looked for by its name.
        problem: reason and detail why the row cannot be used.
        image_file: the name by which the image is looked for, if it is not `image_name`.
    """

    image_name: str
    captions: tuple[str, ...] = ()
    caption_long: str = ""
    split: str = ""
    label: str = ""
    anchors: tuple[Anchor, ...] = ()
    anchors_in: Callable[[ImageRef | None, Part], tuple[Anchor, ...]] | None = None
    image: ImageRef | None = None
    problem: tuple[str, str] | None = None
    image_file: str = ""
