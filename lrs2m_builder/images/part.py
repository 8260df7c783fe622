"""Which pixels of a file, or of a folder of band files, are the image that a manifest means."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lrs2m_builder.errors import SampleError
from lrs2m_builder.opening import is_folder
from lrs2m_builder.schema import ImageRef

Bands = tuple[int, int, int]
BandNames = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """The part of what a source names that is its image; all of it by default.

    Attributes:
        bands: what becomes red, green and blue: of a file of more than three bands, their numbers from 1 on; of a
            folder with a file a band (BigEarthNet's patches), the last part of the names, such as "B04".
        panel: (number, of): of a picture of so many squares side by side, the one that is meant, counted from 1.
    """

    bands: Bands | BandNames | None = None
    panel: tuple[int, int] | None = None

    @property
    def band_numbers(self) -> Bands | None:
        """The bands to take from a file; None where they are files of their own or not chosen."""
        bands = self.bands
        return bands if bands is not None and isinstance(bands[0], int) else None

    def band_files(self, folder: Path) -> list[Path]:
        """The files of a folder that hold the red, green and blue band.

        Raises:
            SampleError: image_unsupported where none or several end in the name of a band; image_unreadable where the
                manifest expects no folder.
        """
        if self.bands is None or self.band_numbers is not None:
            raise SampleError("image_unreadable", f"{folder}: a folder; the manifest names no files as its bands")
        return [_band_file(folder, str(name)) for name in self.bands]

    def files(self, ref: ImageRef) -> list[ImageRef]:
        """The files whose pixels are the image: `ref` itself, or its bands if it is a folder of them.

        Raises:
            SampleError: as `band_files`.
        """
        return [*self.band_files(ref)] if isinstance(ref, Path) and is_folder(ref) else [ref]

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Size of the part of an upright picture; a picture that is not that many squares is taken whole."""
        return (height, height) if self.panel and width == self.panel[1] * height else (width, height)

    def is_all(self, width: int, height: int) -> bool:
        """Whether all of a picture is meant, however it is turned."""
        return self.size(width, height) == (width, height) and self.size(height, width) == (height, width)

    def cut(self, image: Image.Image) -> Image.Image:
        """The part of a decoded, upright picture."""
        if self.panel is None or self.size(*image.size) == image.size:
            return image
        left = (self.panel[0] - 1) * image.height
        return image.crop((left, 0, left + image.height, image.height))


ALL = Part()


def _band_file(folder: Path, name: str) -> Path:
    try:
        found = [path for path in folder.iterdir() if path.stem == name or path.stem.endswith(f"_{name}")]
    except OSError as error:
        raise SampleError("image_unreadable", f"{folder}: {error.strerror}") from error
    if len(found) != 1:
        raise SampleError("image_unsupported", f"{folder}: {len(found)} files of band {name}")
    return found[0]
