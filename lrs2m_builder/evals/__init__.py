"""Zero-shot evaluations (`members/` has a file each), how they are run, and the paper's numbers."""
