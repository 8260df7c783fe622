"""The sample world: drawn scenes with exact truth, and a small captioner that has learnt to speak of them."""

from pathlib import Path

CAPTIONER = Path(__file__).parent / "captioner"
"""The folder of the shipped demo captioner, for `--model`."""
