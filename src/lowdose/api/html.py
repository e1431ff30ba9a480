"""Pieces of HTML for notebooks: self-contained, without any request."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from lowdose.data_url import data_url


def picture(png: bytes, alt: str) -> str:
    """Return a PNG as an image element that carries its data."""
    return f'<img src="{data_url(png)}" style="max-width:100%" alt="{escape(alt)}">'


def table(header: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a table whose first column names the rows."""
    head = "".join(f"<th>{escape(name)}</th>" for name in header)
    body = "".join(
        f"<tr><th>{escape(str(first))}</th>{''.join(f'<td>{escape(str(cell))}</td>' for cell in cells)}</tr>"
        for first, *cells in rows
    )
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"
