"""Noise banks, from which low-dose patches are simulated during training."""
