"""HU of blood and organs without contrast medium and in the usual contrast phases."""

from __future__ import annotations

import numpy as np

from lowdose.errors import InvalidSetting

PHASES = ("none", "arterial", "portal_venous", "delayed")
"""Contrast phases, in the order of the values in ``_HU``."""

_HU: dict[str, tuple[float, float, float, float]] = {
    "aorta": (42, 320, 160, 115),
    "right_heart": (42, 220, 152, 115),
    "pulmonary": (42, 250, 155, 115),
    "cava": (40, 90, 128, 112),
    "cava_low": (40, 48, 108, 112),
    "portal": (42, 95, 168, 118),
    "vein": (40, 60, 135, 112),
    "liver": (58, 68, 108, 92),
    "hepatic_vein": (42, 60, 150, 112),
    "spleen": (48, 125, 118, 95),
    "cortex": (34, 195, 185, 145),
    "medulla": (30, 85, 168, 150),
    "renal_pelvis": (4, 6, 12, 420),
    "pancreas": (42, 108, 92, 72),
    "adrenal": (22, 60, 68, 46),
    "myocardium": (46, 112, 108, 92),
    "thyroid": (108, 195, 165, 135),
    "gut_wall": (38, 75, 82, 66),
    "muscle": (54, 57, 62, 62),
    "bladder_wall": (36, 48, 62, 68),
    "urine": (4, 4, 6, 70),
    "prostate": (40, 55, 78, 80),
    "uterus": (45, 80, 110, 105),
    "gland": (42, 60, 85, 75),
}


def enhancement(phase: str, rng: np.random.Generator | None = None) -> dict[str, float]:
    """Return the HU of each enhancing tissue in one of ``PHASES``.

    With ``rng`` the values are those of one random patient, who takes up more or less contrast medium than usual. The
    values are those of adult body CT at 120 kVp, checked against the scans of the tests. Raises InvalidSetting for an
    unknown phase.
    """
    if phase not in PHASES:
        raise InvalidSetting(f"phase {phase!r}: one of {', '.join(PHASES)}")
    column = PHASES.index(phase)
    if rng is None:
        return {tissue: values[column] for tissue, values in _HU.items()}
    uptake = float(np.clip(rng.normal(1.0, 0.12), 0.75, 1.3))
    unenhanced = {tissue: values[0] + float(np.clip(rng.normal(0, 2.5), -5, 5)) for tissue, values in _HU.items()}
    return {tissue: hu + uptake * (_HU[tissue][column] - _HU[tissue][0]) for tissue, hu in unenhanced.items()}
