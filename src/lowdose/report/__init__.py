"""Reports of evaluations and of the words of slices: CSV, JSON, HTML pages and PNG figures."""
