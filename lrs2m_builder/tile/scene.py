"""A scene: a raster of any size, opened for reading window by window, and its grid of tiles."""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from lrs2m_builder.errors import SampleError, UserError, one_line
from lrs2m_builder.files import files_below, would_wait
from lrs2m_builder.images.place import Window, footprints
from lrs2m_builder.images.rasters import raster_driver
from lrs2m_builder.tile.options import TileOptions

CACHE_MB = 32  # GDAL's block cache per process; its default is 5 % of the memory
SUFFIXES = (".tif", ".tiff", ".jp2", ".vrt", ".img", ".ntf")
MAX_BLOCK = 128 * 2**20  # bytes
_MAX_ZOOM = 64  # --gsd: times larger or smaller than the scene's own pixels
_UNUSUAL = re.compile(r"[^\w.-]+", re.ASCII)


@dataclass(frozen=True, slots=True)
class Scene:
    """What is known of a scene before its pixels are read; sent to worker processes.

    Attributes:
        name: of its folder and its tiles: the file's stem.
        width, height: in pixels of the tiles (other than the file's with --gsd).
        zoom: the file's pixels per pixel of a tile, across and down.
        transform: six numbers for the tiles' pixels; None without a place on a map.
        crs: WKT; "" without one.
        bands: the bands that are read.
        nodata: of each band, as tagged.
        mask: how no-data is known: "" (none), "values" (nodata, NaN) or "band" (an alpha or mask band).
        palette: the colours (256, 3) of a paletted band as bytes.
        is_warped: only ground control points place it: it is read through a warped view.
        is_striped: stored in rows as wide as the scene.
    """

    name: str
    path: Path
    width: int
    height: int
    zoom: tuple[float, float]
    transform: tuple[float, ...] | None
    crs: str
    dtype: str
    bands: tuple[int, ...]
    nodata: tuple[float | None, ...]
    mask: str
    palette: bytes | None
    is_warped: bool
    is_striped: bool

    def row_offsets(self, options: TileOptions) -> list[int]:
        """The first pixel row of every row of tiles; what is left at the bottom is less than a tile."""
        return list(range(0, self.height - options.size + 1, options.stride))

    def column_offsets(self, options: TileOptions) -> list[int]:
        """The first pixel column of every column of tiles."""
        return list(range(0, self.width - options.size + 1, options.stride))

    @property
    def is_placed(self) -> bool:
        return bool(self.crs and self.transform)

    @property
    def is_beyond_180(self) -> bool:
        """Whether it lies in degrees of longitude that a layer writes otherwise: -179 is 181."""
        from rasterio.crs import CRS

        if not self.is_placed or not CRS.from_wkt(self.crs).is_geographic:
            return False
        assert self.transform is not None
        a, b, c = self.transform[:3]
        corners = [c + a * x + b * y for x in (0, self.width) for y in (0, self.height)]
        return min(corners) < -180 - 1e-9 or max(corners) > 180 + 1e-9


def find_scenes(paths: Sequence[Path]) -> list[tuple[str, Path]]:
    """Names and files of the scenes, in order of name; a folder stands for the rasters in it.

    Raises:
        UserError: a path is missing, a folder has no raster, or two scenes have one name.
    """
    by_name: dict[str, Path] = {}
    for path in paths:
        files = sorted(files_below(path, *SUFFIXES)) if path.is_dir() else [path]
        if not files:
            raise UserError(f"{path}: no raster in this folder (looked for {', '.join(SUFFIXES)})")
        for file in files:
            if not file.exists():
                raise UserError(f"{file}: no such file")
            name = _UNUSUAL.sub("-", file.stem).strip(".-") or "scene"
            if (other := by_name.setdefault(name, file)) != file:
                raise UserError(f"{other} and {file}: two scenes of one name, {name}; rename one, or tile them apart")
    return sorted(by_name.items())


@contextmanager
def opened(path: Path, *, warped: bool = False) -> Iterator[Any]:
    """Open a raster with a small block cache; a warped one through a view in the CRS of its control points.

    Raises:
        UserError: it is not a raster or is damaged.
    """
    import rasterio
    from rasterio.errors import NodataShadowWarning, NotGeoreferencedWarning, RasterioError
    from rasterio.vrt import WarpedVRT

    warnings.filterwarnings("ignore", category=NotGeoreferencedWarning)
    warnings.filterwarnings("ignore", category=NodataShadowWarning)
    if would_wait(path):
        raise UserError(f"{path}: a pipe, socket or device; write its content to a regular file")
    try:
        driver = "VRT" if path.suffix.lower() == ".vrt" else raster_driver(path)
    except SampleError as error:
        raise UserError(f"{error.detail} that can be tiled: give GeoTIFF, COG, JPEG 2000, NITF, HFA or VRT") from error
    with rasterio.Env(GDAL_CACHEMAX=CACHE_MB, GDAL_DISABLE_READDIR_ON_OPEN="FALSE", GDAL_NUM_THREADS="1"):
        try:
            with rasterio.open(path, driver=driver) as raster:
                if warped:
                    points, crs = raster.gcps
                    alpha = {} if raster.nodata is not None else {"add_alpha": True}
                    with WarpedVRT(raster, src_crs=crs, crs=crs, gcps=points, **alpha) as view:
                        yield view
                else:
                    yield raster
        except (RasterioError, OSError) as error:
            raise UserError(f"{path}: cannot be read: {one_line(error)}") from error


def look_at(name: str, path: Path, options: TileOptions) -> Scene:
    """What the file's header says of a scene.

    Raises:
        UserError: it cannot be tiled with these options.
    """
    with opened(path) as raster:
        warped = _has_only_points(path, raster)
    with opened(path, warped=warped) as raster:
        bands = _choose_bands(path, raster, options)
        _check_blocks(path, raster)
        zoom = _zoom(path, raster, options)
        width, height = int(raster.width / zoom[0] + 1e-6), int(raster.height / zoom[1] + 1e-6)
        if min(width, height) < options.size:
            scaled = f" at {options.gsd} m per pixel" if options.gsd else ""
            raise UserError(f"{path}: {width} x {height} pixels{scaled}, smaller than a tile; give a --size up to that")
        has_map = not raster.transform.is_identity
        return Scene(
            name=name,
            path=path,
            width=width,
            height=height,
            zoom=zoom,
            transform=tuple(raster.transform @ raster.transform.scale(*zoom))[:6] if has_map else None,
            crs=_usable_crs(raster),
            dtype=raster.dtypes[bands[0] - 1],
            bands=bands,
            nodata=tuple(raster.nodatavals[band - 1] for band in bands),
            mask=_mask(raster, bands),
            palette=_palette(raster, bands),
            is_warped=warped,
            is_striped=raster.block_shapes[0][1] >= raster.width,
        )


def pixel_window(scene: Scene, window: Window) -> tuple[float, float, float, float]:
    """The window in the file's own pixels: column, row, width, height."""
    left, top, width, height = window
    across, down = scene.zoom
    return left * across, top * down, width * across, height * down


def _has_only_points(path: Path, raster: Any) -> bool:
    """Whether only ground control points place it.

    Raises:
        UserError: only RPCs do, which need the heights of the ground.
    """
    if raster.crs or not raster.transform.is_identity:
        return False
    points, crs = raster.gcps
    if points and crs:
        return True
    if raster.rpcs:
        raise UserError(f"{path}: placed by RPCs only; orthorectify it first: gdalwarp -rpc -to RPC_DEM=dem.tif")
    return False


def _choose_bands(path: Path, raster: Any, options: TileOptions) -> tuple[int, ...]:
    palette = raster.count == 1 and raster.colorinterp[0].name == "palette"
    bands = options.bands or ((1, 2, 3) if raster.count >= 3 and not palette else (1,))
    if max(bands) > raster.count:
        raise UserError(f"{path}: --bands asks for band {max(bands)}, but it has {raster.count}")
    kinds = {raster.dtypes[band - 1] for band in bands}
    if wrong := next((kind for kind in kinds if np.dtype(kind).kind not in "uif"), None):
        raise UserError(f"{path}: pixels of type {wrong}; convert them to amplitudes first (gdal_translate, gdal_calc)")
    if len(kinds) > 1:
        raise UserError(f"{path}: bands {','.join(map(str, bands))} differ in type: {', '.join(sorted(kinds))}")
    return bands


def _check_blocks(path: Path, raster: Any) -> None:
    """Raises:
    UserError: a block, which is decoded whole for each of its pixels, does not fit into memory.
    """
    height, width = raster.block_shapes[0]
    size = height * width * np.dtype(raster.dtypes[0]).itemsize
    size *= raster.count if raster.interleaving and raster.interleaving.name == "pixel" else 1
    if size > MAX_BLOCK:
        stored = f"in blocks of {width} x {height} pixels ({size // 2**20:,} MB), each decoded whole"
        raise UserError(f"{path}: stored {stored}; rewrite it first: gdal_translate -of COG {path.name} new.tif")


def _usable_crs(raster: Any) -> str:
    """The CRS as WKT; "" without one, or if it is a local one that has no place on Earth."""
    on_earth = raster.crs and (raster.crs.is_projected or raster.crs.is_geographic)
    return str(raster.crs.to_wkt(version="WKT2_2019")) if on_earth else ""


def _zoom(path: Path, raster: Any, options: TileOptions) -> tuple[float, float]:
    """The file's pixels per pixel of a tile; 1, 1 without --gsd."""
    if options.gsd is None:
        return 1.0, 1.0
    if not _usable_crs(raster) or raster.transform.is_identity:
        raise UserError(f"{path}: no CRS, so --gsd has no meaning; write one with gdal_edit.py -a_srs EPSG:CODE")
    middle = (raster.width // 2, raster.height // 2, 1, 1)
    (place,) = footprints(raster.transform, raster.crs, [middle])
    if place is None:
        raise UserError(f"{path}: its centre is outside of its projection, so --gsd has no meaning; leave it out")
    zoom = options.gsd / place.gsd_x, options.gsd / place.gsd_y
    if not all(1 / _MAX_ZOOM <= each <= _MAX_ZOOM for each in zoom):
        raise UserError(f"{path}: --gsd {options.gsd}, but its pixels have {place.gsd:.3g} m; give a nearer value")
    return zoom


def _mask(raster: Any, bands: Sequence[int]) -> str:
    flags = {flag.name for band in bands for flag in raster.mask_flag_enums[band - 1]}
    if flags & {"per_dataset", "alpha"}:
        return "band"
    is_float = np.dtype(raster.dtypes[bands[0] - 1]).kind == "f"
    return "values" if "nodata" in flags or is_float else ""


def _palette(raster: Any, bands: Sequence[int]) -> bytes | None:
    if len(bands) > 1 or raster.colorinterp[bands[0] - 1].name != "palette" or raster.dtypes[bands[0] - 1] != "uint8":
        return None
    colours = np.zeros((256, 3), np.uint8)
    for value, colour in raster.colormap(bands[0]).items():
        colours[value] = colour[:3]
    return colours.tobytes()
