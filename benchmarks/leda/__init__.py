"""Cost of a training step with the LEDA loss."""
