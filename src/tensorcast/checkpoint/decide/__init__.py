"""What a conversion will do, as data: nothing here writes."""
