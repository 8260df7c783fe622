"""CLIP models: open, convert and save."""
