"""Files on this machine: read a range, write, commit."""
