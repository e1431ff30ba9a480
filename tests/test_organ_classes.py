"""Labels and the classes made of them: every structure is somewhere, sides and levels are one, nothing is twice."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.anatomical_labels import LABELS, NAMES
from lowdose.batch import UNKNOWN
from lowdose.organ_classes import CLASSES, INDEX, ORGANS, TISSUES, classes_of

EVERYTHING = (*TISSUES, *ORGANS)


def class_of(name: str) -> str:
    return CLASSES[int(classes_of(np.array([LABELS[name]], np.uint8))[0])]


@pytest.mark.parametrize(
    ("name", "number"),
    [
        ("spleen", 1), ("kidney_right", 2), ("liver", 5), ("lung_lower_lobe_right", 14), ("sacrum", 25),
        ("vertebrae_S1", 26), ("vertebrae_C1", 50), ("heart", 51), ("aorta", 52), ("spinal_cord", 79), ("skull", 91),
        ("rib_left_1", 92), ("rib_right_12", 115), ("sternum", 116), ("costal_cartilages", 117),
    ],
)  # fmt: skip
def test_numbers_are_those_of_total_segmentator(name: str, number: int) -> None:
    assert LABELS[name] == number
    assert NAMES[number] == name


def test_labels_are_numbered_without_a_gap_and_named_once() -> None:
    assert list(NAMES) == list(range(1, len(NAMES) + 1))
    assert len(LABELS) == len(NAMES) < UNKNOWN


def test_organs_are_made_of_known_labels_and_no_label_is_in_two() -> None:
    members = [member for organ in EVERYTHING for member in organ.members]
    assert len(members) == len(set(members))
    assert set(members) <= set(LABELS)
    assert all(organ.members for organ in EVERYTHING)


def test_only_labels_outside_the_trunk_have_no_class() -> None:
    members = {member for organ in EVERYTHING for member in organ.members}
    assert set(LABELS) - members == {"brain", "skull", "body"}


def test_classes_are_numbered_from_what_lies_outside() -> None:
    assert CLASSES[:2] == ("outside", "body")
    assert len(set(CLASSES)) == len(CLASSES) == 2 + len(TISSUES) + len(ORGANS) < UNKNOWN
    assert all(CLASSES[number] == name for name, number in INDEX.items())


def test_every_label_becomes_the_class_it_belongs_to() -> None:
    for organ in EVERYTHING:
        for member in organ.members:
            assert class_of(member) == organ.name


@pytest.mark.parametrize(
    ("name", "organ"),
    [
        ("vertebrae_L3", "vertebrae"), ("vertebrae_S1", "vertebrae"), ("rib_right_7", "rib"),
        ("kidney_cyst_left", "kidney"), ("lung_middle_lobe_right", "lung"), ("hip_left", "hip"),
        ("atrial_appendage_left", "heart"), ("brain", "body"), ("torso_fat", "torso_fat"), ("aorta", "aorta"),
        ("pulmonary_artery", "pulmonary_artery"), ("brachiocephalic_trunk", "brachiocephalic_trunk"),
        ("brachiocephalic_vein_left", "brachiocephalic_vein"),
    ],
)  # fmt: skip
def test_some_by_name(name: str, organ: str) -> None:
    assert class_of(name) == organ


def test_right_and_left_are_one() -> None:
    pairs = [name for name in LABELS if "right" in name and name.replace("right", "left") in LABELS]
    assert len(pairs) > 25
    for name in pairs:
        assert class_of(name) == class_of(name.replace("right", "left"))


def test_nothing_is_outside_and_strange_numbers_are_body() -> None:
    found = classes_of(np.array([[0, max(NAMES) + 1], [254, 255]], np.uint8))
    np.testing.assert_array_equal(found, [[INDEX["outside"], INDEX["body"]], [INDEX["body"]] * 2])
    assert found.dtype == np.uint8


def test_the_answer_may_be_written_to() -> None:
    labels = np.zeros((2, 3), np.uint8)
    classes_of(labels)[:] = 7
    assert not classes_of(labels).any()
