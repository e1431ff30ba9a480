"""Rendering of organ shapes to the pixels of CT slices."""
