"""The parts of `lrs2m audit`: thumbnails, hashes, pairs, captions, checks, and the report."""
