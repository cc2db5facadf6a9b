"""What of somebody's memory can be shared and what is copied: the verdict, then carrying it out."""
