"""Published splits of the Mayo collections by patient: one JSON file each, which states its source."""
