"""Limits of what is shown and flagged. They depend on the autoencoder, so its file may state its own."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass

HEADER = "limits"
"""Entry of the header of an autoencoder's file, a JSON object with the attributes of ``WordLimits``."""


@dataclass(frozen=True)
class WordLimits:
    """Limits that were calibrated for one autoencoder (``experiments/leda/calibrate_limits.py``).

    The defaults hold for files that state none. Those of drift were fixed with the first shipped autoencoder, on 20
    faithful results (noise of 15 to 40 HU removed by a U-Net or a Gaussian filter) for 10 slices of three patients
    (docs/results.md). That of certainty was fixed with two autoencoders that had been trained for half an hour: of
    declared words on slices of 16 series 48 to 53 % were right, and 74 to 87 % of those that are shown with 0.4
    (docs/leda.md).

    Attributes
    ----------
    certainty : 0 to 1
        Least certainty of a word that is shown (``language.certainty``).
    drift_floor : lengths of a word
        Score that drift must exceed.
    drift_times : float
        Times the usual score of the slice that it must exceed.
    drift_far : lengths of a word
        Score that counts as drift whatever is usual in the slice.
    """

    certainty: float = 0.4
    drift_floor: float = 0.1
    drift_times: float = 4.0
    drift_far: float = 0.5

    def drift(self, usual: float) -> float:
        """Return the score above which a region is flagged in a slice whose usual score is ``usual``."""
        return max(self.drift_floor, min(self.drift_times * usual, self.drift_far))

    def to_header(self) -> dict[str, str]:
        """Return the entry of the header."""
        return {HEADER: json.dumps(asdict(self))}


DEFAULT_LIMITS = WordLimits()


def read_limits(header: Mapping[str, str]) -> WordLimits:
    """Return the limits that a header states, or the defaults. Raises TypeError or ValueError for damaged ones."""
    stated = json.loads(header.get(HEADER, "{}"))
    return WordLimits(**{name: float(value) for name, value in stated.items()})
