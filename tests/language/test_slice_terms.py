"""Terms for what a slice shows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowdose import organ_classes
from lowdose.language import slice_terms
from lowdose.phantom.patient import digital_patient


def slice_of(**areas: int) -> np.ndarray:
    """Classes in a square of 1 mm pixels, the rest outside the patient."""
    classes = np.zeros(256 * 256, np.uint8)
    place = 0
    for name, area in areas.items():
        classes[place : place + area] = organ_classes.INDEX[name]
        place += area
    return classes.reshape(256, 256)


def weight(classes: np.ndarray, term: str, pixel_mm: tuple[float, float] | None = None) -> float:
    return float(slice_terms.term_weights(classes, pixel_mm)[slice_terms.TERMS.index(term)])


def test_every_class_has_a_term_and_every_region_is_told_by_classes() -> None:
    assert set(slice_terms.STRUCTURES) == set(organ_classes.CLASSES) - {organ_classes.OUTSIDE, organ_classes.BODY}
    assert all(set(names) <= set(slice_terms.STRUCTURES) for names in slice_terms.REGIONS.values())
    assert len(set(slice_terms.TERMS)) == len(slice_terms.TERMS)


def test_term_weights_match_the_formula_written_out() -> None:
    # liver 900 over the floor -> 30, spleen 400 -> 20, fat 1600 -> 40, a quarter of it 10; sum 60
    classes = slice_of(liver=1000, spleen=500, torso_fat=1700)
    assert weight(classes, "liver") == pytest.approx(0.6 * 30 / 60)
    assert weight(classes, "spleen") == pytest.approx(0.6 * 20 / 60)
    assert weight(classes, "torso_fat") == pytest.approx(0.6 * 10 / 60)
    assert weight(classes, "abdomen") == pytest.approx(0.2)
    assert weight(classes, slice_terms.IMAGING) == pytest.approx(0.2)
    assert weight(classes, "chest") == 0.0


def test_small_spots_count_for_nothing() -> None:
    quiet = slice_of(liver=1000)
    spotted = slice_of(liver=1000, heart=100)
    assert np.array_equal(slice_terms.term_weights(quiet, None), slice_terms.term_weights(spotted, None))
    assert weight(slice_of(liver=10_000, heart=130), "heart") < 0.04


def test_pixel_size_counts() -> None:
    classes = slice_of(liver=500, spleen=200)
    fine = np.repeat(np.repeat(classes, 2, 0), 2, 1)
    assert np.allclose(slice_terms.term_weights(classes, (1.0, 1.0)), slice_terms.term_weights(fine, (0.5, 0.5)))
    assert np.allclose(slice_terms.term_weights(fine, (0.5, 1.0)), slice_terms.term_weights(fine, (1.0, 0.5)))
    one = slice_terms.term_weights(classes, None)
    for absurd in ((1.0, 1.0), (0.0, 1.0), (float("nan"), 1.0), (1e9, 1e9)):
        assert np.array_equal(slice_terms.term_weights(classes, absurd), one)


@pytest.mark.parametrize("classes", [slice_of(), np.zeros((1, 1), np.uint8), slice_of(body=5000)])
def test_nothing_to_see_is_still_an_image(classes: np.ndarray) -> None:
    weights = slice_terms.term_weights(classes, None)
    assert weights[slice_terms.TERMS.index(slice_terms.IMAGING)] == 1.0
    assert weights.sum() == 1.0


def test_without_organs_no_region() -> None:
    classes = slice_of(subcutaneous_fat=1000, skeletal_muscle=3000)
    assert all(weight(classes, region) == 0.0 for region in slice_terms.REGIONS)
    assert weight(classes, slice_terms.IMAGING) == pytest.approx(0.25)


@given(st.lists(st.integers(0, len(organ_classes.CLASSES) - 1), min_size=1, max_size=400), st.floats(0.2, 9.0))
def test_weights_are_a_distribution(numbers: list[int], side: float) -> None:
    weights = slice_terms.term_weights(np.array([numbers], np.uint8), (side, side))
    assert weights.shape == (len(slice_terms.TERMS),)
    assert np.all(weights >= 0)
    assert weights.sum() == pytest.approx(1.0)


@pytest.mark.parametrize("region", ["neck", "chest", "abdomen", "pelvis"])
def test_the_region_of_a_person(region: str) -> None:
    person = digital_patient(3, region=region, slices=1, size=128, pixel_mm=3.0)
    weights = slice_terms.term_weights(organ_classes.classes_of(person.labels[0]), (3.0, 3.0))
    found = {name: weights[slice_terms.TERMS.index(name)] for name in slice_terms.REGIONS}
    # The middle of the neck's range is at the shoulders, where the lungs begin.
    assert max(found, key=found.__getitem__) in ({region} if region != "neck" else {"neck", "chest"})
