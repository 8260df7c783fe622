"""Texts held against the pixels: what a text claims, asked of a model that sees the image."""
