"""One table of all methods: trained on the same data for the same time, scored by one definition."""
