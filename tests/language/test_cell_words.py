"""Words of regions: those of what lies there, none for air, and regions of the body for the coarsest layer alone."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from lowdose.language import shown_words
from lowdose.language.cell_words import CellWords
from lowdose.language.slice_terms import REGIONS, STRUCTURES
from lowdose.language.vocabulary import load_vocabulary
from lowdose.networks.pyramid_quantiser import positions
from lowdose.organ_classes import INDEX

WORDS = load_vocabulary()
CELLS = CellWords(WORDS)


def said(pool: np.ndarray) -> set[str]:
    return {WORDS.tokens[token] for token in pool}


def filled(name: str, side: int = 64) -> np.ndarray:
    return np.full((side, side), INDEX[name], np.uint8)


def test_every_structure_and_region_has_words_of_the_shipped_vocabulary() -> None:
    assert set(shown_words.STRUCTURES) == set(STRUCTURES)
    assert set(shown_words.REGIONS) == set(REGIONS)
    assert shown_words.shown_words() <= set(WORDS.tokens)


def test_no_diagnosis_and_no_name_may_be_shown() -> None:
    assert not shown_words.shown_words() & {
        "cancer",
        "tumor",
        "lesion",
        "cirrhosis",
        "pneumonia",
        "nike",
        "heavyweight",
    }


@pytest.mark.parametrize("name", STRUCTURES)
def test_a_structure_alone_has_its_own_words(name: str) -> None:
    assert said(CELLS.pool(filled(name), with_regions=False)) == set(shown_words.STRUCTURES[name])


def test_the_coarsest_layer_names_the_body_region_too() -> None:
    assert {"abdomen", "liver"} <= said(CELLS.pool(filled("liver"), with_regions=True))
    assert "abdomen" not in said(CELLS.pool(filled("liver"), with_regions=False))
    assert not said(CELLS.pool(filled("skeletal_muscle"), with_regions=True)) & {"chest", "abdomen", "pelvis", "neck"}


def test_air_has_no_words() -> None:
    classes = filled("outside")
    classes[:, :20] = INDEX["lung"]  # less than two fifths
    assert len(CELLS.pool(classes, with_regions=True)) == 0
    classes[:, :30] = INDEX["lung"]
    assert "lung" in said(CELLS.pool(classes, with_regions=False))


def test_small_parts_of_a_region_have_no_words() -> None:
    classes = filled("liver")
    classes[:, :19] = INDEX["kidney"]
    assert "kidney" not in said(CELLS.pool(classes, with_regions=False))
    classes[:, :20] = INDEX["kidney"]
    assert {"kidney", "liver"} <= said(CELLS.pool(classes, with_regions=False))


@pytest.mark.parametrize("side", [128, 256])
def test_positions_get_their_own_regions_on_any_grid(side: int) -> None:
    classes = np.full((side, side), INDEX["liver"], np.uint8)
    classes[: side // 2, side // 2 :] = INDEX["spleen"]
    one, many = CELLS.pools(classes, positions(3)[:-1], (8, 8))
    assert len(one) == 1
    assert "liver" in said(one[0])
    assert "spleen" not in said(one[0])  # a quarter
    assert [("liver" in said(pool), "spleen" in said(pool)) for pool in many] == [
        (True, False), (False, True), (True, False), (True, False),
    ]  # fmt: skip


def test_the_embedding_of_a_class_is_the_mean_of_its_words() -> None:
    codebook = WORDS.embeddings
    coarse, fine = CELLS.class_embeddings(codebook, 2)
    rows = {token: row for row, token in enumerate(WORDS.tokens)}
    liver = [rows[word] for word in shown_words.STRUCTURES["liver"]]
    torch.testing.assert_close(fine[INDEX["liver"]], codebook[liver].mean(0))
    with_region = liver + [rows[word] for word in shown_words.REGIONS["abdomen"]]
    torch.testing.assert_close(coarse[INDEX["liver"]], codebook[with_region].mean(0))
    assert not bool(fine[INDEX["outside"]].any())
    # The word nearest to it is one of its own.
    for name in STRUCTURES:
        nearest = WORDS.tokens[int((codebook @ fine[INDEX[name]]).argmax())]
        assert nearest in shown_words.STRUCTURES[name], (name, nearest)
