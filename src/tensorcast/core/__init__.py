"""One cast of one block: checked, chosen, run, counted."""
