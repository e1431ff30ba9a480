"""Splits of the Mayo collections into patients, as published; one JSON file each, which states its source."""
