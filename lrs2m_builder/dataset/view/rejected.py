"""The samples that were rejected: their image and what was known of them, from the plan of their build."""

from __future__ import annotations

import re
import threading
from functools import lru_cache
from pathlib import Path
from typing import Any

from lrs2m_builder.build.plan_file import PLAN, PlanFile
from lrs2m_builder.dataset.view.rows import encoded
from lrs2m_builder.errors import SampleError, UserError
from lrs2m_builder.files import read_json
from lrs2m_builder.images.load import decode
from lrs2m_builder.schema import Sample

SHOWN = 1600  # pixels of the longer side
_SHARD = re.compile(r"train-(\d{5,})\.parquet")


class SampleReader:
    """Reads the samples of rejections; safe for several threads."""

    def __init__(self, data_dir: Path | None = None) -> None:
        """Find samples later.

        Args:
            data_dir: the folder of the sources' files, if it is not where the builds found it.
        """
        self._data_dir = data_dir
        self._lock = threading.Lock()

    def describe(self, file: str, sample_id: str) -> dict[str, Any]:
        """What a rejected sample gave a recipe: `sample` with texts and labels, and whether it has an image."""
        sample = self._sample(file, sample_id)
        if sample is None:
            return {"sample": None, "has_image": False}
        anchors = [{"class": anchor.name, "count": anchor.count} for anchor in sample.anchors]
        return {
            "sample": {
                "image_name": sample.image_name,
                "captions": list(sample.captions),
                "caption_long": sample.caption_long,
                "label": sample.label,
                "anchors": anchors,
            },
            "has_image": sample.image_path is not None,
        }

    def image(self, file: str, sample_id: str, *, size: int) -> tuple[str, bytes] | None:
        """The media type and bytes of a rejected sample's image, drawn anew; None if it is not to be had."""
        sample = self._sample(file, sample_id)
        if sample is None or sample.image_path is None:
            return None
        try:
            return encoded(decode(sample.image_path, lambda width, height: _bounded(width, height, size)))
        except SampleError:
            return None

    def _sample(self, file: str, sample_id: str) -> Sample | None:
        path = Path(file)
        number = _SHARD.fullmatch(path.name)
        root = next((parent.parent for parent in path.parents if parent.name == "rejected"), None)
        if number is None or root is None:
            return None
        subset = path.parent.name
        with self._lock:
            samples = _shard(root / PLAN / f"{subset}.parquet", subset, int(number[1]), self._data_dir)
        return samples.get(sample_id)


@lru_cache(maxsize=4)
def _shard(plan: Path, subset: str, number: int, data_dir: Path | None) -> dict[str, Sample]:
    """The samples of a shard by their ids; none if the build left no plan that can be read."""
    try:
        folder = data_dir or Path(str(read_json(plan.with_suffix(".json"))["data_dir"]))
        return {sample.sample_id: sample for sample in PlanFile(plan, subset, folder).shard(number)}
    except (UserError, OSError, ValueError, KeyError, TypeError):
        return {}


def _bounded(width: int, height: int, size: int) -> tuple[int, int]:
    scale = min(1, size / max(width, height))
    return max(1, round(width * scale)), max(1, round(height * scale))
