"""Throughput of denoising a whole archive."""
