"""Random transforms of slices, and conversion between reconstruction kernels."""
