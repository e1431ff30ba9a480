"""Inference: the pipeline that denoises a series slice by slice, the engines it runs on, and background reading."""
