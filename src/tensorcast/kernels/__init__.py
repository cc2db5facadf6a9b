"""The loops behind every cast: `cpu` runs the C++ extension on memory of this machine."""
