"""What the HU of a region allow, and what counts as body."""

from __future__ import annotations

import numpy as np
import pytest

from lowdose.language.body import body_mask, region_shares
from lowdose.language.tissue import tissue_shares, tissues_of

LEFT_RIGHT = ((0, 32), (32, 64))


@pytest.mark.parametrize(
    ("hu", "allowed", "refused"),
    [
        (-850.0, ("lung", "pulmonary"), ("liver", "fat", "vertebra", "muscle")),
        (-100.0, ("fat", "skin", "abdomen"), ("lung", "liver", "rib")),
        (60.0, ("liver", "muscle", "colon", "scan"), ("lungs", "fat", "femur")),
        (600.0, ("vertebra", "hip", "colon"), ("lung", "fat", "spleen")),
        (-1000.0, ("colon", "chest"), ("lung", "fat", "liver", "hip")),
    ],
)
def test_a_word_needs_its_tissue(hu: float, allowed: tuple[str, ...], refused: tuple[str, ...]) -> None:
    image, body = np.full((32, 64), hu, np.float32), np.ones((32, 64), bool)
    content = tissue_shares(image, body, ((0, 32),), LEFT_RIGHT)
    # Where the image is one tissue, vessels and lungs share 'pulmonary', and what may hold gas allows everything.
    for word in allowed:
        assert content.allow([[word, None]])[0].tolist() == [word != "pulmonary" or hu == -850.0, False], word
    for word in refused:
        assert not content.allow([[word, "banana"]]).any(), word


def test_a_share_of_the_body_is_enough() -> None:
    image = np.full((32, 64), 50.0, np.float32)
    image[:, :8] = -100.0  # a quarter of the left region
    content = tissue_shares(image, np.ones(image.shape, bool), ((0, 32),), LEFT_RIGHT)
    assert content.allow([["fat", "fat"]])[0].tolist() == [True, False]
    assert content.allow([["liver", "liver"]]).all()


def test_words_of_several_structures_have_all_their_tissues() -> None:
    assert tissues_of("pulmonary") == {"lung", "soft tissue"}
    assert tissues_of("abdomen") == tissues_of("tomography") == {None}
    assert tissues_of("nike") == tissues_of(None) == frozenset()


def test_the_body_holds_its_lungs_and_leaves_out_air_noise_and_the_cover_of_the_couch() -> None:
    y, x = np.mgrid[:128, :128] - 64.0
    image = np.where(np.hypot(y, x) < 40, 40.0, -1000.0)
    image[np.hypot(y, x - 15) < 12] = -850.0
    image[120:123] = 0.0
    image[2, 2] = 500.0
    body = body_mask(image.astype(np.float32))
    assert body[np.hypot(y, x) < 36].all()
    assert not body[np.hypot(y, x) > 42].any()
    assert region_shares(body, ((0, 64), (64, 128)), ((0, 128),))[:, 0] == pytest.approx(
        [body[:64].mean(), body[64:].mean()]
    )
