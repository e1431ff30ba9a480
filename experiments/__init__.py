"""Experiments behind docs/results.md, run from the repository root: ``python -m experiments.FOLDER.NAME``."""
