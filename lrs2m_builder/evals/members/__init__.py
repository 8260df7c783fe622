"""The evaluations: one file each, which ends with `EVALUATION`; the folder is the registry."""
