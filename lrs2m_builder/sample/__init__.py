"""The sample world: drawn scenes with exact truth, and a small captioner trained on them."""

from pathlib import Path

CAPTIONER = Path(__file__).parent / "captioner"
"""The folder of the shipped demo captioner, for `--model`."""
