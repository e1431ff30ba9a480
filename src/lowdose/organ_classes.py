"""What a single slice can tell apart: TotalSegmentator's structures, sides and levels joined, and the tissues between.

One slice shows neither which vertebra it cuts nor, turned over, which side is left; so levels, lobes and sides are one
organ here and keep the stem of their common name.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowdose.anatomical_labels import LABELS


class Organ(NamedTuple):
    """name: as TotalSegmentator calls it. members: the names in ``anatomical_labels.LABELS`` that belong to it."""

    name: str
    members: tuple[str, ...]


_SIDED = (
    "adrenal_gland", "iliac_artery", "iliac_vena", "humerus", "scapula", "clavicula", "femur", "hip",
    "gluteus_maximus", "gluteus_medius", "gluteus_minimus", "autochthon", "iliopsoas", "brachiocephalic_vein",
    "subclavian_artery", "common_carotid_artery",
)  # fmt: skip
_SINGLE = (
    "spleen", "gallbladder", "liver", "stomach", "pancreas", "esophagus", "trachea", "thyroid_gland", "small_bowel",
    "duodenum", "colon", "urinary_bladder", "prostate", "sacrum", "aorta", "pulmonary_vein", "pulmonary_artery",
    "superior_vena_cava", "inferior_vena_cava", "portal_vein_and_splenic_vein", "spinal_cord", "sternum",
    "costal_cartilages", "brachiocephalic_trunk",
)  # fmt: skip


def _starting(*stems: str) -> tuple[str, ...]:
    return tuple(name for name in LABELS if name.startswith(stems))


ORGANS: tuple[Organ, ...] = (
    *(Organ(name, (name,)) for name in _SINGLE),
    *(Organ(name, (f"{name}_right", f"{name}_left")) for name in _SIDED),
    Organ("kidney", _starting("kidney_")),
    Organ("lung", _starting("lung_")),
    Organ("vertebrae", _starting("vertebrae_")),
    Organ("rib", _starting("rib_")),
    Organ("heart", ("heart", "atrial_appendage_left")),
)
"""What a segmentation is judged on."""

TISSUES: tuple[Organ, ...] = (
    Organ("subcutaneous_fat", ("subcutaneous_fat",)),
    Organ("torso_fat", ("torso_fat",)),
    Organ("skeletal_muscle", ("skeletal_muscle",)),
)
"""What lies between the organs: TotalSegmentator's tissue types."""

OUTSIDE, BODY = "outside", "body"
CLASSES: tuple[str, ...] = (OUTSIDE, BODY, *(organ.name for organ in (*TISSUES, *ORGANS)))
"""Classes of a segmentation by number: 0 is all around the patient, 1 what belongs to the patient and to no other."""

INDEX: MappingProxyType[str, int] = MappingProxyType({name: index for index, name in enumerate(CLASSES)})
"""Name -> class."""


def _table() -> NDArray[np.uint8]:
    table = np.full(256, INDEX[BODY], np.uint8)
    table[0] = INDEX[OUTSIDE]
    for organ in (*TISSUES, *ORGANS):
        for member in organ.members:
            table[LABELS[member]] = INDEX[organ.name]
    return table


_CLASS_OF = _table()


def classes_of(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Labels by ``anatomical_labels.FEATURE_NETWORKS``, any shape -> ``CLASSES``. Structures that are no class of their own become body."""
    return _CLASS_OF[labels]
