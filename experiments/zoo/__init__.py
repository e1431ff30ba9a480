"""Training data and evaluation of the shipped denoisers."""
