"""Slices with organ labels or candidate tokens, from digital patients and from real scans."""
