"""The option --rescale: what the pixels of a series mean whose headers do not say so."""

from __future__ import annotations

from typing import Annotated

import typer

from lowdose.errors import InvalidSetting

RescaleOption = Annotated[
    str | None,
    typer.Option(
        metavar="SLOPE,INTERCEPT",
        help="For DICOM that does not state them: HU = stored value * SLOPE + INTERCEPT, for example 1,-1024.",
    ),
]


def parse_rescale(text: str | None) -> tuple[float, float] | None:
    """Return slope and intercept; raise InvalidSetting for anything but two numbers."""
    if text is None:
        return None
    try:
        slope, intercept = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidSetting(f"--rescale {text}: give two numbers, as in --rescale 1,-1024") from error
    return slope, intercept
