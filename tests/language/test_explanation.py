"""Explanations: every pixel has its words, whatever the image's size, and they are those of the quantiser."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE
from lowdose.language import autoencoder_file
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.explanation import explain_slice
from support import tiny_word_autoencoder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LanguageGuidedAutoencoder:
    """Stride 16, two layers: regions of 4 x 4 cells, then cells."""
    return autoencoder_file.load_autoencoder(
        tiny_word_autoencoder.write(tmp_path_factory.mktemp("autoencoder") / "words.safetensors")
    )


def image(rows: int, columns: int) -> np.ndarray:
    return np.random.default_rng(0).uniform(-1000, 1000, (rows, columns)).astype(np.float32)


def test_words_and_distances_are_those_of_the_residuals(tiny: LanguageGuidedAutoencoder) -> None:
    hu = image(128, 128)
    found, model = explain_slice(tiny, hu), tiny.autoencoder
    z = model.encode(OBJECTIVE.encode(torch.from_numpy(hu)[None, None]))[0]
    table = model.codebook
    for row in range(8):
        for column in range(8):
            residual, coarse = z[:, row, column], row % 4 == 3 and column % 4 == 3
            for number in (0, 1) if coarse else (1,):
                layer = found.layers[number]
                place = (row // 4, column // 4) if number == 0 else (row, column)
                distances = (table - residual).norm(dim=1)
                token = int(distances.argmin())
                assert layer.tokens[place] == token
                assert layer.words[place[0]][place[1]] == f"word{token}"
                assert layer.distance[place] == pytest.approx(float(distances[token]), rel=1e-3)
                residual = residual + z[:, row, column] - table[token]
    assert found.word_length == pytest.approx(float(table.square().sum(1).mean().sqrt()), rel=1e-5)


@pytest.mark.parametrize("shape", [(128, 128), (100, 75), (33, 200), (1, 1), (65, 130)])
def test_regions_of_every_layer_cover_every_pixel_once(tiny: LanguageGuidedAutoencoder, shape: tuple[int, int]) -> None:
    found = explain_slice(tiny, image(*shape))
    assert found.latents.shape[1:] == tuple(-(-side // 16) for side in shape)
    for layer in found.layers:
        assert layer.tokens.shape == (len(layer.rows), len(layer.columns)) == layer.distance.shape
        for spans, side in ((layer.rows, shape[0]), (layer.columns, shape[1])):
            assert [pixel for first, last in spans for pixel in range(first, last)] == list(range(side))


def test_what_lies_inside_does_not_depend_on_how_the_image_is_given(tiny: LanguageGuidedAutoencoder) -> None:
    """Mirroring by hand gives the same words; not-a-number is air, and the image is left as it is."""
    hu = image(100, 128)
    kept = hu.copy()
    whole = np.concatenate([hu, hu[::-1][:12]])
    assert np.array_equal(explain_slice(tiny, hu).layers[1].tokens, explain_slice(tiny, whole).layers[1].tokens)
    assert np.array_equal(hu, kept)
    holes, air = hu.copy(), hu.copy()
    holes[:50], air[:50] = np.nan, -1000.0
    assert np.array_equal(explain_slice(tiny, holes).latents, explain_slice(tiny, air).latents)


def test_relevance_is_looked_up(tiny: LanguageGuidedAutoencoder) -> None:
    class Ranks:
        def scores(self, hu: np.ndarray, pixel_mm: tuple[float, float] | None) -> np.ndarray:
            assert pixel_mm == (0.5, 0.7)
            return np.arange(tiny_word_autoencoder.WORDS, dtype=np.float32) / 39

    layer = explain_slice(tiny, image(64, 64), (0.5, 0.7), Ranks()).layers[1]
    assert np.allclose(layer.relevance, layer.tokens / 39)


def test_what_cannot_be_explained_is_refused(tiny: LanguageGuidedAutoencoder) -> None:
    with pytest.raises(InvalidSetting, match="learned"):
        explain_slice(replace(tiny, vocabulary=None), image(64, 64))
    for shape in ((2, 64, 64), (0, 5)):
        with pytest.raises(InvalidSetting, match="one slice"):
            explain_slice(tiny, np.zeros(shape, np.float32))
