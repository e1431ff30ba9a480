"""Benchmarks of speed and memory, run as modules from the repository root: ``python -m benchmarks.FOLDER.NAME``."""
