"""Beside this file lies what tests of several rooms share."""
