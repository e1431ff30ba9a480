"""Scores of words, pools of candidates, and the embedded provider on people whose anatomy is known."""

import itertools
import math
from types import MappingProxyType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from lowdose import organ_classes
from lowdose.errors import InvalidSetting
from lowdose.language import relevance, slice_terms, vocabulary, word_table
from lowdose.language.relevance import AnatomyRelevance, candidate_pools, min_max
from lowdose.language.vocabulary import Vocabulary
from lowdose.networks.anatomy import Anatomy
from lowdose.phantom.patient import digital_patient

# Hundredths, so that an added constant cannot push two different scores onto one number.
RAW = arrays(np.float64, st.integers(1, 40), elements=st.integers(-100, 100).map(lambda n: n / 100))


@given(RAW)
def test_min_max(raw: np.ndarray) -> None:
    scores = min_max(raw)
    assert scores.dtype == np.float32
    assert scores.max() == 1.0
    assert scores.min() == (0.0 if raw.max() > raw.min() else 1.0)
    assert np.array_equal(scores[np.argmax(raw)], np.float32(1.0))


@given(RAW, st.lists(st.sampled_from([0.0, 0.3, 0.8, 0.9, 0.95, 1.0]), min_size=1, max_size=4))
def test_pools_are_nested_and_never_empty(raw: np.ndarray, levels: list[float]) -> None:
    thresholds = sorted(levels, reverse=True)
    scores = min_max(raw)
    pools = candidate_pools(scores, thresholds)
    for pool, threshold in zip(pools, thresholds, strict=True):
        assert set(pool) == {k for k, score in enumerate(scores) if score >= np.float32(threshold)}
        assert len(pool) == len(set(pool)) > 0
        assert list(scores[pool]) == sorted(scores[pool], reverse=True)
    for small, large in itertools.pairwise(pools):
        assert set(small) <= set(large)


@given(RAW, st.floats(-1.0, 1.0), st.floats(0.1, 10.0))
def test_a_constant_or_a_factor_on_all_cosines_changes_nothing(raw: np.ndarray, constant: float, factor: float) -> None:
    np.testing.assert_allclose(min_max(raw * factor + constant), min_max(raw), atol=1e-5)


def test_a_score_at_the_threshold_is_in() -> None:
    scores = np.array([1.0, 0.95, 0.9, 0.8, 0.7999, 0.0], np.float32)
    assert [list(pool) for pool in candidate_pools(scores)] == [[0, 1], [0, 1, 2], [0, 1, 2, 3]]


@pytest.mark.parametrize("thresholds", [(), (0.8, 0.9), (1.1, 0.5), (0.5, -0.1), (float("nan"),)])
def test_thresholds_without_meaning(thresholds: tuple[float, ...]) -> None:
    with pytest.raises(InvalidSetting, match="give falling numbers from 1 to 0"):
        candidate_pools(np.array([0.0, 1.0], np.float32), thresholds)


@pytest.mark.parametrize("scores", [[], [0.2, 0.9], [-0.1, 1.0], [[0.0, 1.0]], [float("nan"), 1.0]])
def test_pools_of_what_is_no_score(scores: list[float]) -> None:
    with pytest.raises(InvalidSetting, match="min_max"):
        candidate_pools(np.array(scores, np.float32))


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_scores_that_are_no_numbers(value: float) -> None:
    with pytest.raises(InvalidSetting, match="NaN or infinity"):
        min_max(np.array([0.1, value]))


def test_soft_maximum_written_out() -> None:
    rng = np.random.default_rng(0)
    cosines, weights = rng.uniform(-1, 1, (5, 4)).astype(np.float32), np.array([0.5, 0.0, 0.2, 0.3])
    for row, score in enumerate(relevance.soft_maximum(cosines, weights)):
        total = sum(w * math.exp(20 * float(c)) for w, c in zip(weights, cosines[row], strict=True))
        assert score == pytest.approx(math.log(total) / 20)
    # One term alone: the cosine itself.
    np.testing.assert_allclose(relevance.soft_maximum(cosines, np.array([0, 1.0, 0, 0])), cosines[:, 1], atol=1e-7)


def test_soft_maximum_is_free_of_shifts() -> None:
    rng = np.random.default_rng(1)
    cosines, weights = rng.uniform(-1, 1, (50, 4)).astype(np.float32), np.array([0.5, 0.1, 0.2, 0.2])
    plain, moved = (relevance.soft_maximum(cosines + np.float32(shift), weights) for shift in (0.0, 0.375))
    np.testing.assert_allclose(moved, plain + 0.375, atol=1e-6)
    np.testing.assert_allclose(min_max(moved), min_max(plain), atol=1e-5)


@pytest.fixture(scope="module")
def shipped() -> AnatomyRelevance:
    return AnatomyRelevance(Anatomy().eval(), vocabulary.load_vocabulary())


def best(shipped: AnatomyRelevance, classes: np.ndarray, pixel_mm: tuple[float, float], count: int) -> list[str]:
    tokens = word_table.shipped_word_table().tokens
    return [tokens[k] for k in np.argsort(-shipped.scores_of(classes, pixel_mm), kind="stable")[:count]]


# Above L1 in mm: heart, liver and kidneys, hip bones.
PLACES = MappingProxyType(
    {
        "chest": (130.0, {"lung", "pulmonary", "heart", "cardiac", "chest"}, {"liver", "kidney", "bladder", "pelvis"}),
        "abdomen": (20.0, {"abdominal", "abdomen", "liver", "hepatic"}, {"heart", "bladder", "femur", "neck"}),
        "pelvis": (-270.0, {"pelvis", "pelvic", "femur", "muscles"}, {"lung", "liver", "heart", "kidney"}),
    }
)


@pytest.mark.parametrize("region", PLACES)
@pytest.mark.parametrize("seed", [5, 6])
def test_words_for_a_person(shipped: AnatomyRelevance, region: str, seed: int) -> None:
    height, there, elsewhere = PLACES[region]
    person = digital_patient(seed, region=(height, height), slices=1, size=128, pixel_mm=3.0)
    classes = organ_classes.classes_of(person.labels[0])
    assert there <= set(best(shipped, classes, (3.0, 3.0), 15))
    assert not elsewhere & set(best(shipped, classes, (3.0, 3.0), 30))
    sizes = [len(pool) for pool in candidate_pools(shipped.scores_of(classes, (3.0, 3.0)))]
    assert 1 <= sizes[0] <= sizes[1] <= sizes[2] < 200


def test_a_wrong_spot_of_the_network_names_nothing(shipped: AnatomyRelevance) -> None:
    person = digital_patient(5, region=(20.0, 20.0), slices=1, size=128, pixel_mm=3.0)
    classes = organ_classes.classes_of(person.labels[0])
    classes[:5, :4] = organ_classes.INDEX["urinary_bladder"]  # 180 mm2
    assert "bladder" not in best(shipped, classes, (3.0, 3.0), 15)


def test_air_gets_the_words_of_an_image(shipped: AnatomyRelevance) -> None:
    words = best(shipped, np.zeros((64, 64), np.uint8), (1.0, 1.0), 10)
    assert {"radiology", "tomography", "imaging", "ct"} & set(words)
    assert "muscle" not in words


@pytest.mark.parametrize("value", [-1000.0, float("nan"), 5000.0])
def test_flat_images_through_the_network(shipped: AnatomyRelevance, value: float) -> None:
    scores = shipped.scores(np.full((96, 80), value, np.float32), (0.8, 0.8))
    assert scores.shape == (len(vocabulary.load_vocabulary()),)
    assert scores.min() == 0.0
    assert scores.max() == 1.0
    assert all(len(pool) for pool in candidate_pools(scores))


def test_same_slice_same_scores(shipped: AnatomyRelevance) -> None:
    hu = np.random.default_rng(0).normal(0, 300, (64, 64)).astype(np.float32)
    assert np.array_equal(shipped.scores(hu, None), shipped.scores(hu.copy(), None))


def test_other_vocabularies_by_the_word_they_spell(shipped: AnatomyRelevance) -> None:
    tokens = ("liver</w>", "Liver</w>", "liver", "kidney</w>", "zzxq</w>", "hepatic</w>", "!</w>")
    other = AnatomyRelevance(shipped.network, Vocabulary(tokens, torch.eye(7), "a CLIP"))
    assert other.matched == 4
    classes = np.full((40, 40), organ_classes.INDEX["liver"], np.uint8)
    scores = other.scores_of(classes, (1.0, 1.0))
    known = dict(zip(word_table.shipped_word_table().tokens, shipped.scores_of(classes, (1.0, 1.0)), strict=True))
    # The lowest is the table's lowest, so the scale is that of the shipped words, up to the best word there is.
    want = np.array([known.get(word, 0.0) for word in ("liver", "liver", "", "kidney", "", "hepatic", "")])
    np.testing.assert_allclose(scores, want / want.max(), atol=1e-6)
    assert scores[[2, 4, 6]].tolist() == [0.0, 0.0, 0.0]


def test_a_vocabulary_without_a_known_word(shipped: AnatomyRelevance) -> None:
    foreign = Vocabulary(("##leber", "xqzzy"), torch.eye(2), "a foreign one")
    with pytest.raises(InvalidSetting, match=r"a foreign one: none of its 2 tokens is one of the \d+ English words"):
        AnatomyRelevance(shipped.network, foreign)


def test_every_term_is_closest_to_words_of_its_own() -> None:
    tokens, cosines = word_table.shipped_word_table()
    rows = {word: row for row, word in enumerate(tokens)}
    for term in (
        "liver",
        "kidney",
        "spleen",
        "heart",
        "lung",
        "pancreas",
        "stomach",
        "aorta",
        "rib",
        "chest",
        "pelvis",
    ):
        column = cosines[:, slice_terms.TERMS.index(term)]
        assert column[rows[term]] >= np.sort(column)[-3], term
    assert not cosines.flags.writeable
