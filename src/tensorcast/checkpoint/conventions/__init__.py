"""Who names and packs the scales of weights how, and how that is noticed."""
