"""Graphs of pixels with similar features: the search for neighbours, and what a pixel takes from them."""
