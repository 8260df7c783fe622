"""The paper's four zero-shot evaluations: a file each, and what they share (encode, results)."""
