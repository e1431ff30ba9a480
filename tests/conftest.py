"""Beside this file lies what tests of several rooms share."""

from hypothesis import settings

# The same examples in every run: what CI finds can be found again.
settings.register_profile("same", derandomize=True)
settings.load_profile("same")
