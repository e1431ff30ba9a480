"""Table of all anatomical labels: 1 to 117 as in TotalSegmentator v2 for CT, then the labels of this package."""

from __future__ import annotations

from types import MappingProxyType


def _left_and_right(*names: str, first: str = "left") -> tuple[str, ...]:
    sides = (first, "right" if first == "left" else "left")
    return tuple(f"{name}_{side}" for name in names for side in sides)


_VERTEBRAE = tuple(
    f"vertebrae_{region}{k}" for region, count in (("S", 1), ("L", 5), ("T", 12), ("C", 7)) for k in range(count, 0, -1)
)
_RIBS = tuple(f"rib_{side}_{k}" for side in ("left", "right") for k in range(1, 13))

_NAMES = (
    "spleen", "kidney_right", "kidney_left", "gallbladder", "liver", "stomach", "pancreas",
    "adrenal_gland_right", "adrenal_gland_left",
    "lung_upper_lobe_left", "lung_lower_lobe_left", "lung_upper_lobe_right", "lung_middle_lobe_right",
    "lung_lower_lobe_right", "esophagus", "trachea", "thyroid_gland", "small_bowel", "duodenum", "colon",
    "urinary_bladder", "prostate", "kidney_cyst_left", "kidney_cyst_right", "sacrum",
    *_VERTEBRAE,
    "heart", "aorta", "pulmonary_vein", "brachiocephalic_trunk",
    *_left_and_right("subclavian_artery", "common_carotid_artery", first="right"),
    *_left_and_right("brachiocephalic_vein"),
    "atrial_appendage_left", "superior_vena_cava", "inferior_vena_cava", "portal_vein_and_splenic_vein",
    *_left_and_right("iliac_artery", "iliac_vena", "humerus", "scapula", "clavicula", "femur", "hip"),
    "spinal_cord",
    *_left_and_right("gluteus_maximus", "gluteus_medius", "gluteus_minimus", "autochthon", "iliopsoas"),
    "brain", "skull",
    *_RIBS,
    "sternum", "costal_cartilages",
    "body", "subcutaneous_fat", "torso_fat", "skeletal_muscle", "pulmonary_artery",
)  # fmt: skip

NAMES: MappingProxyType[int, str] = MappingProxyType(dict(enumerate(_NAMES, start=1)))
"""Name of each label; label 0, not listed, is everything outside the patient.

"body" is what belongs to the patient but to no other label.
"""

LABELS: MappingProxyType[str, int] = MappingProxyType({name: label for label, name in NAMES.items()})
"""Label of each name."""
