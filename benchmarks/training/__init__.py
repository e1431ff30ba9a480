"""Speed of training in one process and in two."""
