"""What a source format yields: rows as they stand in the files, before images are found and texts normalised."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lrs2m_builder.images.part import Part
from lrs2m_builder.schema import Anchor, CaptionColumn, ImageRef

if TYPE_CHECKING:
    import pyarrow as pa


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


@dataclass(frozen=True, slots=True)
class SourceColumns:
    """Many rows at once, of which a file gives a name and one text each (N rows).

    Attributes:
        kind: whether the texts are the long or short ones.
        image_names: (N,) as a `SourceRow` has them.
        texts: (N,) as they stand there.
    """

    kind: CaptionColumn
    image_names: pa.StringArray
    texts: pa.StringArray


class NotColumnarError(Exception):
    """A file that cannot be read by the column. By the row it can, or its reader says what is wrong with it."""
