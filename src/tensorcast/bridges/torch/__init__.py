"""torch's tensors: the view in and the wrap out, casts, derivatives, operators, pairs, losses."""
