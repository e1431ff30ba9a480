"""Speed of the shipped models."""
