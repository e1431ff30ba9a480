"""Simulation of low-dose scans from normal-dose series and from phantoms."""
