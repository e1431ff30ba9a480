"""Classes that a segmentation of single slices distinguishes: organs, without side, lobe or level, and tissues.

A single slice does not show which vertebra it cuts nor, when mirrored, which side is left. Levels, lobes and sides of
TotalSegmentator's structures are therefore one organ here, named by the common stem of their names.
"""

from __future__ import annotations

from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowdose.anatomical_labels import LABELS


class Organ(NamedTuple):
    """Class of a segmentation and the labels that belong to it.

    Attributes
    ----------
    name : str
        Name as TotalSegmentator gives it, without side, lobe or level.
    members : tuple of str
        Names in ``anatomical_labels.LABELS`` that belong to the class.
    """

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


def _labels_starting_with(*stems: str) -> tuple[str, ...]:
    return tuple(name for name in LABELS if name.startswith(stems))


ORGANS: tuple[Organ, ...] = (
    *(Organ(name, (name,)) for name in _SINGLE),
    *(Organ(name, (f"{name}_right", f"{name}_left")) for name in _SIDED),
    Organ("kidney", _labels_starting_with("kidney_")),
    Organ("lung", _labels_starting_with("lung_")),
    Organ("vertebrae", _labels_starting_with("vertebrae_")),
    Organ("rib", _labels_starting_with("rib_")),
    Organ("heart", ("heart", "atrial_appendage_left")),
)
"""Organs by which a segmentation is evaluated."""

TISSUES: tuple[Organ, ...] = (
    Organ("subcutaneous_fat", ("subcutaneous_fat",)),
    Organ("torso_fat", ("torso_fat",)),
    Organ("skeletal_muscle", ("skeletal_muscle",)),
)
"""TotalSegmentator's tissue types, which lie between the organs."""

OUTSIDE, BODY = "outside", "body"
CLASSES: tuple[str, ...] = (OUTSIDE, BODY, *(organ.name for organ in (*TISSUES, *ORGANS)))
"""Names of all classes, in the order of their numbers.

Class 0 is everything outside the patient, class 1 what belongs to the patient but to no other class.
"""

INDEX: MappingProxyType[str, int] = MappingProxyType({name: index for index, name in enumerate(CLASSES)})
"""Number of each class by name."""


def _class_of_each_label() -> NDArray[np.uint8]:
    table = np.full(256, INDEX[BODY], np.uint8)
    table[0] = INDEX[OUTSIDE]
    for organ in (*TISSUES, *ORGANS):
        for member in organ.members:
            table[LABELS[member]] = INDEX[organ.name]
    return table


_CLASS_OF = _class_of_each_label()


def classes_of(labels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Convert labels, numbered as ``anatomical_labels.NAMES``, to class numbers, indices into ``CLASSES``; any shape.

    Structures without a class of their own become "body".
    """
    return _CLASS_OF[labels]
