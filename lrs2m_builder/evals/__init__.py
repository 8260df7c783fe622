"""The paper's four zero-shot evaluations and its numbers."""
