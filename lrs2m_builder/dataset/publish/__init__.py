"""Publishing a data set on the Hub: its files, its card, and the upload."""
