"""A data set as the Hub wants it: its files, its card, and how they get there."""
