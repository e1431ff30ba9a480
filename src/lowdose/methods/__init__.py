"""Training methods: which modules are trained, by which loss terms, and in which order."""
