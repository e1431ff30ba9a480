"""The version of lowdose."""

__version__ = "0.2.0"
