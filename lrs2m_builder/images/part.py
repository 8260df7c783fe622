"""Which pixels of a file, or of a folder of band files, are the image according to the manifest."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from PIL import Image

from lrs2m_builder.errors import SampleError
from lrs2m_builder.files import is_folder
from lrs2m_builder.schema import ImageRef

Bands = tuple[int, int, int]
BandNames = tuple[str, str, str]


@dataclass(frozen=True, slots=True)
class Part:
    """The part of a file or folder that is the image; all of it by default.

    Attributes:
        bands: red, green and blue: for a file of more than three bands, their numbers, starting at 1; for a
            folder with one file per band (BigEarthNet's patches), the last part of the names, such as "B04".
        panel: (number, of): for a file of `of` squares side by side, the one to use, counted from 1.
    """

    bands: Bands | BandNames | None = None
    panel: tuple[int, int] | None = None

    @property
    def band_numbers(self) -> Bands | None:
        """The bands to read from a file; None if they are separate files or not chosen."""
        bands = self.bands
        return bands if bands is not None and isinstance(bands[0], int) else None

    def band_files(self, folder: Path) -> list[Path]:
        """The files of a folder that hold the red, green and blue band.

        Raises:
            SampleError: image_unsupported if a band matches no file or several; image_unreadable if the
                manifest names no band files.
        """
        if self.bands is None or self.band_numbers is not None:
            raise SampleError("image_unreadable", f"{folder}: a folder, but the manifest names no band files")
        return [_band_file(folder, str(name)) for name in self.bands]

    def files(self, ref: ImageRef) -> list[ImageRef]:
        """The files whose pixels are the image: `ref` itself, or its bands if it is a folder of them.

        Raises:
            SampleError: as `band_files`.
        """
        return [*self.band_files(ref)] if isinstance(ref, Path) and is_folder(ref) else [ref]

    def size(self, width: int, height: int) -> tuple[int, int]:
        """Size of the part of an upright image; an image of another shape is used whole."""
        return (height, height) if self.panel and width == self.panel[1] * height else (width, height)

    def is_all(self, width: int, height: int) -> bool:
        """Whether the whole image is used, in any orientation."""
        return self.size(width, height) == (width, height) and self.size(height, width) == (height, width)

    def cut(self, image: Image.Image) -> Image.Image:
        """The part of a decoded, upright image."""
        if self.panel is None or self.size(*image.size) == image.size:
            return image
        left = (self.panel[0] - 1) * image.height
        return image.crop((left, 0, left + image.height, image.height))


ALL = Part()


def _band_file(folder: Path, name: str) -> Path:
    try:
        matches = [path for path in folder.iterdir() if path.stem == name or path.stem.endswith(f"_{name}")]
    except OSError as error:
        raise SampleError("image_unreadable", f"{folder}: {error.strerror}") from error
    if len(matches) != 1:
        raise SampleError("image_unsupported", f"{folder}: {len(matches)} files of band {name}")
    return matches[0]
