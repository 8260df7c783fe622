"""What `lrs2m view` serves: an index of the rows in memory, the rows themselves read when they are looked at."""
