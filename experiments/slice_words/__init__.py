"""Whether the words given to a slice are right."""
