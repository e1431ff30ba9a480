"""Accuracy of the simulated low-dose noise."""
