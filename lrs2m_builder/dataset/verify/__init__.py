"""The texts of a finished data set held against its images by a judge."""
