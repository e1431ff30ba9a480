"""Description of a slice by weighted terms: organs and tissues by their area, body regions, and CT imaging itself."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from lowdose import organ_classes
from lowdose.networks.segmentation import RANGE_MM, WORKING_MM

REGIONS: MappingProxyType[str, tuple[str, ...]] = MappingProxyType(
    {
        "neck": ("thyroid_gland", "trachea", "common_carotid_artery", "clavicula"),
        "chest": (
            "lung", "heart", "sternum", "scapula", "pulmonary_artery", "pulmonary_vein", "superior_vena_cava",
            "brachiocephalic_vein", "brachiocephalic_trunk", "subclavian_artery",
        ),
        "abdomen": (
            "liver", "spleen", "kidney", "pancreas", "stomach", "gallbladder", "small_bowel", "duodenum", "colon",
            "adrenal_gland", "portal_vein_and_splenic_vein",
        ),
        "pelvis": (
            "urinary_bladder", "prostate", "sacrum", "hip", "femur", "gluteus_maximus", "gluteus_medius",
            "gluteus_minimus", "iliac_artery", "iliac_vena",
        ),
    }
)  # fmt: skip
"""Body region -> classes that indicate it. Ribs, spine, muscles and great vessels are left out: they cross several."""

IMAGING = "imaging"
STRUCTURES = organ_classes.CLASSES[2:]
TERMS: tuple[str, ...] = (*STRUCTURES, *REGIONS, IMAGING)
"""Every term that a slice can be described with."""

SMALLEST_MM2 = 100.0
"""Area in mm^2 below which a structure counts as absent.

A vein of this size still counts, while small spots that the network classifies wrongly do not.
"""

TISSUE_WEIGHT = 0.25
"""Factor for tissues: fat and muscle fill every slice, and so say little about a particular one."""

REGION_SHARE, IMAGING_SHARE = 0.2, 0.2
"""Shares of the total weight for the body regions, and for the term of CT imaging."""


def term_weights(classes: NDArray[np.uint8], pixel_mm: tuple[float, float] | None) -> NDArray[np.float64]:
    """Weight all terms for a label map: (y, x) indices into ``organ_classes.CLASSES`` -> (len(TERMS),) of sum 1.

    Weights are not negative. A structure has the square root of its area beyond ``SMALLEST_MM2`` as its weight, tissues
    a quarter of that. A fifth of the total is distributed over the regions, by the weights of the structures that
    indicate them, and a fifth goes to imaging. The share of a group without any structure is distributed over the other
    groups: an image of air alone is still a CT image.

    pixel_mm: spacing in mm between rows and between columns. An unknown spacing, or one outside ``RANGE_MM``, counts as
    1 mm, as in ``segment_slice``.
    """
    known = pixel_mm is not None and all(RANGE_MM[0] <= side <= RANGE_MM[1] for side in pixel_mm)
    down, across = pixel_mm if pixel_mm is not None and known else (WORKING_MM, WORKING_MM)
    area = np.bincount(classes.ravel(), minlength=len(organ_classes.CLASSES)) * down * across
    structure_weights = dict(zip(organ_classes.CLASSES, np.sqrt(np.maximum(area - SMALLEST_MM2, 0.0)), strict=True))
    for tissue in organ_classes.TISSUES:
        structure_weights[tissue.name] *= TISSUE_WEIGHT
    groups = (
        (1.0 - REGION_SHARE - IMAGING_SHARE, [structure_weights[name] for name in STRUCTURES]),
        (REGION_SHARE, [sum(structure_weights[name] for name in names) for names in REGIONS.values()]),
        (IMAGING_SHARE, [1.0]),
    )
    weights = np.concatenate([share * np.array(group) / (sum(group) or 1.0) for share, group in groups])
    return np.asarray(weights / weights.sum())
