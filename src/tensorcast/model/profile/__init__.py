"""What a model's tensors take and hold, and what other formats would make of them."""
