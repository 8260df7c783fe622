"""Scores of the rows of a data set, in tables beside it: `scores/<name>/`; the rows themselves are never rewritten."""
