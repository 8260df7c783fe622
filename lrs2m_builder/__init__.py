"""lrs2m-builder: make, check and use remote-sensing image data with a short and a long text each."""

__version__ = "0.1.0"
