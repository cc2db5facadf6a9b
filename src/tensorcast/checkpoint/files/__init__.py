"""The file formats: a module each, with a reader and, where it can be written, a writer."""
