"""What each format gives on this machine: measured, said in words, written and read back."""
