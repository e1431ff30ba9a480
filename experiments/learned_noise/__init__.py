"""Noise that is learned from low-dose scans alone, against real noise."""
