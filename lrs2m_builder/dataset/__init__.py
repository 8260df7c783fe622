"""A finished data set: read, counted, audited, exported, viewed and published."""
