"""Reads GeoTIFF and similar formats of any depth and number of bands as 8-bit RGB, with rasterio."""

from __future__ import annotations

import logging
import warnings
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import numpy as np
from PIL import Image

from lrs2m_builder.errors import SampleError
from lrs2m_builder.files import would_wait
from lrs2m_builder.images.files import open_image
from lrs2m_builder.images.part import Bands, Part
from lrs2m_builder.images.pixels import TargetSize, bounded, resized, stretch, upright, upright_size
from lrs2m_builder.schema import ImageRef

_RASTER_DRIVERS = {
    b"II*\x00": "GTiff",
    b"MM\x00*": "GTiff",
    b"II+\x00": "GTiff",
    b"MM\x00+": "GTiff",
    b"\x00\x00\x00\x0c": "JP2OpenJPEG",
    b"EHFA": "HFA",
    b"NITF": "NITF",
}

# Files with an image's masks, overviews, statistics or pixels, which GDAL opens by name.
_BESIDE = (".aux.xml", ".msk", ".ovr", ".aux", ".rrd", ".ige", ".rpb", ".imd", ".tfw", ".wld", ".tab")

logging.getLogger("rasterio").setLevel(logging.CRITICAL)


def read_raster(ref: ImageRef, target_size: TargetSize | None, part: Part, orientation: int) -> Image.Image:
    """Read a GeoTIFF of any depth and number of bands, or a folder of them; a large one at about twice the target size.

    Raises:
        SampleError: it is not a raster, is damaged, or its pixels are not numbers.
    """
    import rasterio
    from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError

    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    warnings.filterwarnings("ignore", category=NodataShadowWarning)
    try:
        with ExitStack() as stack:
            refs = part.files(ref)
            rasters = [stack.enter_context(rasterio.open(_file(band), driver=raster_driver(band))) for band in refs]
            width, height = max((raster.width, raster.height) for raster in rasters)  # 60 m bands beside 10 m ones
            if np.dtype(rasters[0].dtypes[0]).kind not in "uif":
                raise SampleError("image_unsupported", f"{ref}: pixels of type {rasters[0].dtypes[0]}")
            chosen = _choose_bands(ref, rasters[0].count, part.band_numbers) if len(rasters) == 1 else [1]
            with bounded(ref, width, height):
                whole = upright_size((width, height), orientation)
                meant = part.size(*whole)
                size = target_size(*meant) if target_size else meant
                columns, rows = upright_size(size, orientation) if meant == whole else (width, height)
                shape = (len(chosen), min(height, 2 * rows), min(width, 2 * columns))
                read = [raster.read(chosen, out_shape=shape, masked=True) for raster in rasters]
    except (RasterioError, OSError, ValueError) as error:
        raise SampleError("image_unreadable", f"{ref}: {error}") from error
    image = Image.fromarray(_to_8bit(np.ma.concatenate(read), ref)).convert("RGB")  # type: ignore[no-untyped-call]
    return resized(part.cut(upright(image, orientation)), size)


def _file(ref: ImageRef) -> Path | BinaryIO:
    """GDAL reads parts of a file; an image inside another file is passed as bytes."""
    return ref if isinstance(ref, Path) else open_image(ref)


def is_raster(start: bytes) -> bool:
    """Whether rasterio reads files that begin with these 4 bytes."""
    return start in _RASTER_DRIVERS


def raster_driver(ref: ImageRef) -> str:
    """The driver for the file's first bytes; GDAL would try a hundred drivers, some of which open other files."""
    with open_image(ref) as file:
        start = file.read(4)
    if not is_raster(start):
        raise SampleError("image_unreadable", f"{ref}: not an image in a known format")
    if isinstance(ref, Path):
        _check_beside(ref)
    return _RASTER_DRIVERS[start]


def _check_beside(path: Path) -> None:
    """Refuse a pipe or device beside the image that GDAL would open with it."""
    for name in (stem + suffix for stem in (path.name, path.stem) for suffix in _BESIDE):
        if would_wait(path.with_name(name)):
            raise SampleError("image_unreadable", f"{path}: {name} beside it is not a regular file")


def _choose_bands(ref: ImageRef, count: int, bands: Bands | None) -> list[int]:
    if bands is None or count < 3:
        return [1, 2, 3] if count >= 3 else [1]
    if max(bands) > count:
        raise SampleError("image_unsupported", f"{ref}: band {max(bands)} of {count}")
    return list(bands)


def _to_8bit(pixels: np.ma.MaskedArray, ref: ImageRef) -> np.ndarray:
    if pixels.dtype == np.uint8:
        filled = np.ma.filled(pixels, 0)
        return filled[0] if len(filled) == 1 else np.ascontiguousarray(filled.transpose(1, 2, 0))
    with np.errstate(over="ignore"):  # the lowest 64-bit number, as no-data, becomes minus infinity
        values = pixels.astype(np.float32)
    return stretch(np.ma.filled(values, np.nan), ref)
