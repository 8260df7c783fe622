"""What the benchmarks share: the real images, a manifest with one row an image, and the random model."""

from __future__ import annotations

import os
from pathlib import Path

import yaml

from lrs2m_builder.shipped import find


def real_data() -> Path:
    """The folder of real images and captions (LRS2M_REAL_DATA)."""
    folder = Path(os.environ.get("LRS2M_REAL_DATA", "../shared/data"))
    if not folder.is_dir():
        raise SystemExit(f"{folder}: no such folder; set LRS2M_REAL_DATA to one that holds UCM-Captions and UC Merced")
    return folder


def one_row_an_image(folder: Path) -> Path:
    """A copy of the ucmerced manifest that makes one sample an image, so that no image is decoded twice."""
    manifest = yaml.safe_load(find("manifests", "ucmerced").read_text())
    manifest["rows"] = "image"
    path = folder / "ucmerced.yaml"
    path.write_text(yaml.safe_dump(manifest))
    return path
