"""What a user writes: manifests, recipes and prompts."""
