"""Weights files: those shipped with the package and those that the user added."""
