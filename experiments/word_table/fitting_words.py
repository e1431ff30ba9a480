"""Rule by word stems on whether a word fits a slice; it was fixed before the settings of the relevance were chosen.

A word fits when it starts with a stem of a structure that the slice shows, of a region that the slice lies in, or of
something that every CT slice shows or is. Everything else, however medical, does not fit: a disease is no more visible
in a label map than a city. Regions of a slice are those with a structure of their own of 100 mm2 or more.
"""

from __future__ import annotations

from collections.abc import Mapping

EVERYWHERE = (
    "muscl", "muscul", "fat", "adipos", "bone", "bony", "osseous", "skelet", "skin", "dermal", "subcutan", "tissue",
    "organ", "anatom", "body", "bodies", "bodily", "torso", "trunk", "vessel", "vascul", "artery", "arteri", "vein",
    "ven", "blood", "nerve", "soft", "fascia", "ct", "tomogra", "scan", "imag", "radiol", "radiog", "xray", "slice",
    "axial", "transverse", "medical", "clinical", "diagnos", "cat", "marrow", "cortical", "connective", "visceral",
)  # fmt: skip
STRUCTURES: Mapping[str, tuple[str, ...]] = {
    "liver": ("liver", "hepat", "lobe", "caudate", "parenchym"),
    "gallbladder": ("gallbladder", "bil", "gall", "cholecyst"),
    "spleen": ("spleen", "spleni"),
    "kidney": ("kidney", "renal", "nephr", "peri-renal", "perirenal", "perinephric", "ureter", "urin"),
    "pancreas": ("pancrea",),
    "stomach": ("stomach", "gastr", "belly"),
    "esophagus": ("esophag", "oesophag", "gastroesophag"),
    "duodenum": ("duoden", "intestin", "bowel", "gut", "enteri", "gastrointestin"),
    "small_bowel": ("intestin", "bowel", "gut", "jejun", "ile", "enteri", "gastrointestin", "mesenter"),
    "colon": ("colon", "bowel", "intestin", "gut", "cec", "caec", "sigmoid", "rect", "gastrointestin", "mesocol"),
    "adrenal_gland": ("adrenal", "suprarenal", "gland"),
    "urinary_bladder": ("bladder", "urin", "vesic"),
    "prostate": ("prostat", "seminal"),
    "sacrum": ("sacr", "pelvi"),
    "hip": ("hip", "ili", "pelvi", "pub", "ischi", "acetab"),
    "femur": ("femor", "femur", "thigh", "trochant", "leg", "hip"),
    "humerus": ("humer", "arm", "shoulder", "limb"),
    "scapula": ("scapul", "shoulder", "glenoid", "subscap", "supraspin", "infraspin"),
    "clavicula": ("clavic", "collarbone", "shoulder"),
    "sternum": ("stern", "breast", "manubr"),
    "rib": ("rib", "cost", "intercost"),
    "costal_cartilages": ("cartilag", "cost", "rib"),
    "vertebrae": ("vertebr", "spin", "backbone", "disc", "disk", "intervert", "column"),
    "spinal_cord": ("spin", "cord", "canal"),
    "autochthon": ("paraspin", "erector", "back", "multifid", "spin", "dorsal"),
    "iliopsoas": ("psoas", "iliopsoas", "iliac"),
    "gluteus_maximus": ("glut", "buttock"),
    "gluteus_medius": ("glut", "buttock"),
    "heart": ("heart", "cardi", "myocard", "pericard", "ventric", "atri", "coronar", "endocard", "epicard"),
    "lung": ("lung", "pulmon", "lob", "bronch", "alveol", "pleur", "respirat", "airway"),
    "trachea": ("trache", "airway", "bronch", "windpipe", "respirat"),
    "thyroid_gland": ("thyroid", "gland"),
    "aorta": ("aort",),
    "pulmonary_artery": ("pulmon",),
    "superior_vena_cava": ("cava",),
    "inferior_vena_cava": ("cava",),
    "portal_vein_and_splenic_vein": ("portal", "splen"),
    "iliac_artery": ("iliac", "iliofem", "aortoil"),
    "iliac_vena": ("iliac", "iliofem"),
    "common_carotid_artery": ("carot",),
    "subclavian_artery": ("subclav",),
    "brachiocephalic_vein": ("brachioc", "innomin"),
    "brachiocephalic_trunk": ("brachioc", "innomin"),
}
REGIONS: Mapping[str, tuple[str, ...]] = {
    "neck": ("neck", "cervical", "throat", "shoulder", "supraclav"),
    "chest": ("chest", "thora", "mediastin", "breast", "pectoral", "axilla", "diaphrag"),
    "abdomen": ("abdom", "belly", "periton", "retroperiton", "flank", "omental", "lumbar", "epigast", "mesenter"),
    "pelvis": ("pelv", "groin", "inguin", "lumbosac", "perine", "hip", "abdominopelv"),
}
PLACE: Mapping[str, tuple[str, ...]] = {
    "neck": ("thyroid_gland", "common_carotid_artery", "clavicula"),
    "chest": ("lung", "heart", "pulmonary_artery", "superior_vena_cava", "sternum", "brachiocephalic_trunk"),
    "abdomen": ("liver", "spleen", "kidney", "pancreas", "stomach", "gallbladder", "duodenum", "small_bowel", "colon"),
    "pelvis": ("urinary_bladder", "prostate", "sacrum", "hip", "femur", "gluteus_maximus"),
}


def stems(area_mm2: Mapping[str, float], smallest: float = 100.0) -> tuple[str, ...]:
    """Everything a fitting word may start with, of a slice with these areas by class of ``organ_classes.CLASSES``."""
    found = list(EVERYWHERE)
    for name, area in area_mm2.items():
        found += STRUCTURES.get(name, ()) if area > 0 else ()
    for region, names in PLACE.items():
        found += REGIONS[region] if any(area_mm2.get(name, 0.0) >= smallest for name in names) else ()
    return tuple(found)


def fits(word: str, allowed: tuple[str, ...]) -> bool:
    """Return whether a word starts with one of the stems."""
    return word.startswith(allowed)
