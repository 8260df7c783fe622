"""The paper's four zero-shot evaluations and its numbers: a file or folder each, and what they share."""
