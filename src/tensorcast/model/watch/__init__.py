"""What torch's operations do, and which memory they hold, while a model's code runs."""
