"""Words that may stand beside a patient's image, by what they name: anatomy, CT imaging, and the image's quality.

A vocabulary of ten thousand words holds names, brands and diagnoses as well. None of these is said of an image: what is
shown is declared here, word by word, from general knowledge of anatomy. A word that belongs to several structures
stands with each of them.
"""

from __future__ import annotations

from functools import cache
from types import MappingProxyType


def _words(**named: str) -> MappingProxyType[str, tuple[str, ...]]:
    return MappingProxyType({name: tuple(words.split()) for name, words in named.items()})


REGIONS: MappingProxyType[str, tuple[str, ...]] = _words(
    neck="neck throat cervical supraclavicular",
    chest="chest thorax thoracic mediastinum mediastinal",
    abdomen="abdomen abdominal midabdomen epigastric retroperitoneum retroperitoneal",
    pelvis="pelvis pelvic groin inguinal",
)
"""Words of each body region of ``slice_terms.REGIONS``."""

STRUCTURES: MappingProxyType[str, tuple[str, ...]] = _words(
    subcutaneous_fat="fat fatty adipose subcutaneous skin",
    torso_fat="fat fatty adipose visceral",
    skeletal_muscle="muscle muscles muscular musculature skeletal",
    spleen="spleen splenic",
    gallbladder="gallbladder biliary bile",
    liver="liver hepatic hepatobiliary",
    stomach="stomach gastric antrum",
    pancreas="pancreas pancreatic",
    esophagus="esophagus esophageal oesophagus",
    trachea="trachea tracheal airway airways",
    thyroid_gland="thyroid gland",
    small_bowel="bowel bowels intestine intestines intestinal jejunum jejunal ileum ileal enteric mesentery mesenteric",
    duodenum="duodenum duodenal",
    colon="colon colonic bowel sigmoid haustra cecum",
    urinary_bladder="bladder vesical urinary",
    prostate="prostate prostatic",
    sacrum="sacrum sacral sacroiliac coccyx",
    aorta="aorta aortic artery arterial",
    pulmonary_vein="pulmonary vein venous",
    pulmonary_artery="pulmonary artery arterial",
    superior_vena_cava="cava caval vena vein",
    inferior_vena_cava="cava caval vena vein",
    portal_vein_and_splenic_vein="portal porta vein splenic",
    spinal_cord="spinal cord canal",
    sternum="sternum sternal manubrium",
    costal_cartilages="costal cartilage cartilages cartilaginous costochondral",
    brachiocephalic_trunk="brachiocephalic innominate artery",
    adrenal_gland="adrenal adrenals suprarenal",
    iliac_artery="iliac arterial artery iliofemoral aortoiliac",
    iliac_vena="iliac venous vein iliofemoral",
    humerus="humerus shoulder shoulders arm",
    scapula="scapula scapulae scapular shoulder glenoid",
    clavicula="clavicle clavicles clavicular infraclavicular",
    femur="femur femora femoral thigh trochanter trochanteric hip",
    hip="hip hips pelvic acetabulum acetabular ilium ischium pubis pubic",
    gluteus_maximus="gluteus gluteal buttock buttocks",
    gluteus_medius="gluteus gluteal",
    gluteus_minimus="gluteus gluteal",
    autochthon="paraspinal erector multifidus back",
    iliopsoas="psoas iliopsoas iliacus",
    brachiocephalic_vein="brachiocephalic innominate vein venous",
    subclavian_artery="subclavian artery arterial",
    common_carotid_artery="carotid artery",
    kidney="kidney kidneys renal nephric perirenal",
    lung="lung lungs pulmonary lobe lobes lobar bronchial alveolar bronchus bronchi",
    vertebrae="vertebra vertebrae vertebral spine spinal disc lumbar",
    rib="rib ribs costal intercostal",
    heart="heart cardiac ventricle ventricular atrium atrial myocardium myocardial pericardium",
)
"""Words of each structure of ``slice_terms.STRUCTURES``."""

IMAGING: tuple[str, ...] = ("ct", "tomography", "tomographic", "scan", "imaging", "image", "slice")
"""Words of the imaging itself."""

SMOOTH, NOISY = ("smooth", "soft"), ("noise", "streak")
"""Words of the image's quality."""


@cache
def shown_words() -> frozenset[str]:
    """Return all words that may be shown."""
    anatomy = (word for group in (REGIONS, STRUCTURES) for words in group.values() for word in words)
    return frozenset((*anatomy, *IMAGING, *SMOOTH, *NOISY))


@cache
def _groups() -> tuple[frozenset[str], ...]:
    """Return the sets of words that name the same thing: one region, one structure, the imaging, one quality."""
    return tuple(frozenset(words) for words in (*REGIONS.values(), *STRUCTURES.values(), IMAGING, SMOOTH, NOISY))


@cache
def related_words(word: str) -> frozenset[str]:
    """Return the words of everything that a word names, itself among them; none for a word that is not shown."""
    return frozenset(other for group in _groups() if word in group for other in group)
