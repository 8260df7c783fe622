"""Large rasters and vector layers to tiles with anchors: `lrs2m tile` (docs/tile.md)."""
