"""Denoising models: files of weights, the models that ship or are installed, classical filters, and their metadata."""
