"""What a text says: its classes, counts, places and denials."""
