"""A conversion at work: chunks read, cast, counted and written."""
