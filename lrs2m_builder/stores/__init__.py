"""Output folders and files: locks and ownership."""
