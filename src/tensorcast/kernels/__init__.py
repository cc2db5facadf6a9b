"""The loops behind every cast: `table` picks, `cpu` runs the C++ extension."""
