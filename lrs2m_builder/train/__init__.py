"""Fit a CLIP to short and long texts."""
