"""Runs the localization test: every text over its image, the indicators of each map, and their means."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from tqdm import tqdm

from lrs2m_builder.clip.encode import encode_images, encode_texts
from lrs2m_builder.clip.model import Loaded
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.evals.selo.crops import make_crops
from lrs2m_builder.evals.selo.indicators import measure
from lrs2m_builder.evals.selo.overlay import write_overlay
from lrs2m_builder.evals.selo.queries import Query
from lrs2m_builder.evals.selo.text_map import make_map
from lrs2m_builder.evals.selo.windows import make_windows
from lrs2m_builder.images.load import decode


def evaluate(
    loaded: Loaded,
    queries: Sequence[Query],
    *,
    compat: bool = True,
    overlay_dir: Path | None = None,
    workers: int | None = None,
    show_progress: bool = True,
) -> tuple[dict[str, float], dict[str, Any]]:
    """Mean R_su, R_as, R_da and R_mi over the queries, and those of each query as the result's details.

    The crops of an image are encoded once for all its texts.

    Args:
        compat: store crops and maps as JPEG on the way, as the published code does; the paper's numbers are made so.
        overlay_dir: write a picture of each query there, `000.png` and so on in the order of the queries.

    Raises:
        UserError: an image cannot be read, or regions lie outside of it.
    """
    texts_QD = encode_texts(loaded, [query.caption for query in queries], show_progress=show_progress)
    numbers: dict[Path, list[int]] = {}
    for number, query in enumerate(queries):
        numbers.setdefault(query.image_path, []).append(number)
    details: dict[int, dict[str, Any]] = {}
    with tqdm(total=len(queries), desc="maps", file=sys.stderr, disable=not show_progress, leave=False) as bar:
        for path, of_image in numbers.items():
            image_HWC = _read(path)
            windows = make_windows(*image_HWC.shape[:2])
            crops_WD = encode_images(
                loaded, make_crops(image_HWC, windows, compat=compat), workers=workers, show_progress=False
            )
            for number in of_image:
                query = queries[number]
                map_HW = make_map(windows, crops_WD @ texts_QD[number], compat=compat)
                try:
                    found = measure(map_HW, query.polygons)
                except UserError as error:
                    raise UserError(f"query {number}, {path}: {error}") from error
                if overlay_dir:
                    write_overlay(overlay_dir / f"{number:03d}.png", image_HWC, map_HW, query, found)
                details[number] = {
                    "caption": query.caption,
                    "image": path.name,
                    "windows": len(windows),
                    **asdict(found),
                }
                bar.update()
    ordered = [details[number] for number in range(len(queries))]
    metrics = {name: float(np.mean([each[name] for each in ordered])) for name in ("r_su", "r_as", "r_da", "r_mi")}
    return metrics, {"queries": ordered}


def _read(path: Path) -> np.ndarray:
    try:
        return np.asarray(decode(path))
    except SampleError as error:
        raise UserError(f"{path}: the evaluation needs every image, and this one fails: {error}") from error
