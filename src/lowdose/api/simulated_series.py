"""What `simulate_dose` returns: a series at a fraction of its dose."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from lowdose.api.checks import path_of
from lowdose.api.reading import read
from lowdose.api.saving import SeriesInMemory
from lowdose.io.messages import counted
from lowdose.volume import Volume


@dataclass(frozen=True)
class SimulatedSeries:
    """A series at a fraction of its dose, in memory or already written.

    Attributes
    ----------
    slices : int
        Number of slices.
    settings : mapping
        Dose fraction, seed, correlation along z, and the scanner that was assumed.
    warnings : tuple of str
        What a user must know of this series.
    path : Path or None
        Where it was written; None while it is in memory only.
    """

    slices: int
    settings: Mapping[str, Any]
    warnings: tuple[str, ...]
    path: Path | None
    _series: SeriesInMemory | None = field(default=None, repr=False)

    @property
    def volume(self) -> Volume:
        """The simulated volume; read from ``path`` when the series was written there."""
        if self._series is not None:
            return self._series.volume()
        assert self.path is not None
        return read(self.path)

    def save(self, out: str | PathLike[str]) -> Path:
        """Write the series as ``lowdose simulate`` does. Raises OutputRefused when the path is taken."""
        if self._series is None:
            return self.volume.save(out)
        return self._series.save(path_of(out, "out"), {})

    def to_dict(self) -> dict[str, Any]:
        """Return the settings, the number of slices and the warnings as plain Python."""
        return {**self.settings, "slices": self.slices, "warnings": list(self.warnings)}

    def _repr_html_(self) -> str:
        """Show the middle slice, for notebooks."""
        dose = 100 * float(self.settings["dose"])
        return f"<p>{counted(self.slices, 'slice')} at {dose:.3g}% of the dose</p>{self.volume._repr_html_()}"
