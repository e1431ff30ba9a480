"""What a slice shows, in terms: organs and tissues by area, the region they tell of, and that it is a CT image."""

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
"""Region -> classes that tell of it. Ribs, spine, muscles and the great vessels pass through several."""

IMAGING = "imaging"
STRUCTURES = organ_classes.CLASSES[2:]
TERMS: tuple[str, ...] = (*STRUCTURES, *REGIONS, IMAGING)
"""Every term that a slice can be described with."""

SMALLEST_MM2 = 100.0
"""Area below which a structure counts as not there: a vein of this size is seen, a wrong spot of a network is not."""

TISSUE_WEIGHT = 0.25
"""Fat and muscle fill every slice, and so tell little of one."""

REGION_SHARE, IMAGING_SHARE = 0.2, 0.2


def term_weights(classes: NDArray[np.uint8], pixel_mm: tuple[float, float] | None) -> NDArray[np.float64]:
    """(y, x) numbers of ``organ_classes.CLASSES`` -> (len(TERMS)) weights >= 0 of sum 1.

    A structure weighs the square root of its area beyond ``SMALLEST_MM2``, tissues a quarter of that. A fifth of the
    whole goes to the regions, by the weights of what tells of them; a fifth to imaging. What the slice has nothing of
    goes to the rest: an image of air alone is still one of CT.
    pixel_mm: sizes that are not known, or no body was ever scanned with, are taken as 1 mm, as in ``segment``.
    """
    known = pixel_mm is not None and all(RANGE_MM[0] <= side <= RANGE_MM[1] for side in pixel_mm)
    down, across = pixel_mm if pixel_mm is not None and known else (WORKING_MM, WORKING_MM)
    area = np.bincount(classes.ravel(), minlength=len(organ_classes.CLASSES)) * down * across
    seen = dict(zip(organ_classes.CLASSES, np.sqrt(np.maximum(area - SMALLEST_MM2, 0.0)), strict=True))
    for tissue in organ_classes.TISSUES:
        seen[tissue.name] *= TISSUE_WEIGHT
    parts = (
        (1.0 - REGION_SHARE - IMAGING_SHARE, [seen[name] for name in STRUCTURES]),
        (REGION_SHARE, [sum(seen[name] for name in names) for names in REGIONS.values()]),
        (IMAGING_SHARE, [1.0]),
    )
    weights = np.concatenate([share * np.array(part) / (sum(part) or 1.0) for share, part in parts])
    return np.asarray(weights / weights.sum())
