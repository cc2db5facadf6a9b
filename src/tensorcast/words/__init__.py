"""How things are said: numbers with units, safe text, tables, trees of names."""
