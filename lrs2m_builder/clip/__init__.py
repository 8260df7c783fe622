"""CLIP: the tokenizer, and what trains and evaluates on the built data."""
