"""Anatomy of the digital patient: the shapes and materials of its organs, one module per body part."""
