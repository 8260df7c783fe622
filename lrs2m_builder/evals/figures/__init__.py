"""Figures of the paper made from a model or from results: one file each, drawn with matplotlib as PNG and SVG."""
