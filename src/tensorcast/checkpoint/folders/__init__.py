"""Which files of a directory make one checkpoint."""
