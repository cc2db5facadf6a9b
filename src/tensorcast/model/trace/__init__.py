"""Every cast, promotion, transfer and synchronisation of code that runs, by line."""
