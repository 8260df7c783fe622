"""The data folder of a source that needs no --data-dir."""

from __future__ import annotations

from pathlib import Path


def default_data_dir(source: str) -> Path | None:
    """The drawn scenes of the source "sample", the folder of a manifest that `lrs2m tile` wrote; None for others."""
    from lrs2m_builder.sample.world import SOURCE, drawn_world

    if source == SOURCE:
        return drawn_world()
    manifest = Path(source)
    is_of_tiles = manifest.name == "manifest.yaml" and manifest.with_name("tiles.parquet").is_file()
    return manifest.parent if is_of_tiles else None
