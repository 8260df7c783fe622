"""What a source format yields: rows as in the files, before images are found and texts normalised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from lrs2m_builder.images.part import Part
from lrs2m_builder.schema import NOWHERE, Anchor, ImageRef, Place


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One image of an annotation file, with its texts unchanged.

    Attributes:
        image_name: unique in its source; a path with "/" if the source has folders.
        anchors_in: makes the anchors from labels that must be matched to the image first; raises SampleError if
            it cannot.
        image: where the image is, if the source holds it; if None, it is searched by name.
        problem: reason and detail why the row cannot be used.
        image_file: the name to search for, if it is not `image_name`.
        place: what the row itself says of its image's place on Earth.
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
    place: Place = NOWHERE
