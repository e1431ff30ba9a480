"""Packs: memory-mapped stores of CT slices."""
