"""PNG images inside HTML."""

from __future__ import annotations

import base64


def data_url(png: bytes) -> str:
    """Return a PNG as a data URL, so that a page needs no other file."""
    return "data:image/png;base64," + base64.b64encode(png).decode("ascii")
