"""Merging by the column: what is told of many plain texts at once, and the few rows that are left to the rules."""
