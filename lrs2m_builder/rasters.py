"""GeoTIFF and the like of any depth and number of bands to 8-bit RGB, by rasterio."""

from __future__ import annotations

import logging
import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from lrs2m_builder.errors import SampleError
from lrs2m_builder.image_files import open_image
from lrs2m_builder.pixels import Bands, TargetSize, bounded, resized, stretch, upright, upright_size
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

logging.getLogger("rasterio").setLevel(logging.CRITICAL)


def read_raster(ref: ImageRef, target_size: TargetSize | None, bands: Bands | None, orientation: int) -> Image.Image:
    """Read a GeoTIFF of any depth and number of bands, a large one at about twice the wanted size.

    Raises:
        SampleError: it is not one, is damaged, or has other pixels than numbers.
    """
    import rasterio
    from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError

    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    warnings.filterwarnings("ignore", category=NodataShadowWarning)
    try:
        # GDAL reads parts of a file; what lies inside another is given whole.
        file = ref if isinstance(ref, Path) else open_image(ref)
        with rasterio.open(file, driver=_raster_driver(ref)) as raster:
            width, height = raster.width, raster.height
            if np.dtype(raster.dtypes[0]).kind not in "uif":
                raise SampleError("image_unsupported", f"{ref}: pixels of type {raster.dtypes[0]}")
            chosen = _choose_bands(ref, raster.count, bands)
            with bounded(ref, width, height):
                size = upright_size((width, height), orientation)
                size = target_size(*size) if target_size else size
                columns, rows = upright_size(size, orientation)
                shape = (min(height, 2 * rows), min(width, 2 * columns))
                pixels = raster.read(chosen, out_shape=(len(chosen), *shape), masked=True)
    except (RasterioError, OSError, ValueError) as error:
        raise SampleError("image_unreadable", f"{ref}: {error}") from error
    return resized(upright(Image.fromarray(_to_8bit(pixels)).convert("RGB"), orientation), size)


def _raster_driver(ref: ImageRef) -> str:
    """The driver for what the file begins with; GDAL would guess among a hundred, some of which open other files."""
    with open_image(ref) as file:
        start = file.read(4)
    if start not in _RASTER_DRIVERS:
        raise SampleError("image_unreadable", f"{ref}: not an image in a known format")
    return _RASTER_DRIVERS[start]


def _choose_bands(ref: ImageRef, count: int, bands: Bands | None) -> list[int]:
    if bands is None or count < 3:
        return [1, 2, 3] if count >= 3 else [1]
    if max(bands) > count:
        raise SampleError("image_unsupported", f"{ref}: band {max(bands)} of {count}")
    return list(bands)


def _to_8bit(pixels: np.ma.MaskedArray) -> np.ndarray:
    if pixels.dtype == np.uint8:
        filled = np.ma.filled(pixels, 0)
        return filled[0] if len(filled) == 1 else np.ascontiguousarray(filled.transpose(1, 2, 0))
    return stretch(np.ma.filled(pixels.astype(np.float32), np.nan))
