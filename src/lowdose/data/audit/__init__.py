"""Audit of data collections for duplicates, leaks between subsets and unreadable files."""
