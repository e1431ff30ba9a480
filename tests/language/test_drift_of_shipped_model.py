"""Drift with the shipped autoencoder: it flags what was made up or lost where it was, and not what denoising does."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import ndimage

from lowdose.image import HU, Mask, Slice
from lowdose.infer import pipeline
from lowdose.language import autoencoder_file, drift, explanation
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.explanation import Explanation
from lowdose.models import load
from lowdose.phantom.patient import digital_patient
from lowdose.weights.identity import shipped_weights

CPU = torch.device("cpu")
PIXEL = 0.9

pytestmark = pytest.mark.skipif(
    autoencoder_file.DEFAULT not in shipped_weights("autoencoder"),
    reason="no autoencoder among the shipped weights",
)


class Case(NamedTuple):
    """organs: names of what the labels say; denoised: by the shipped denoiser, from the noisy input."""

    autoencoder: LanguageGuidedAutoencoder
    organs: dict[str, Mask]
    denoised: HU
    given: Explanation


@pytest.fixture(scope="module")
def case() -> Case:
    person = digital_patient(71, slices=1, size=384, pixel_mm=PIXEL, thickness_mm=3.0)
    rng = np.random.default_rng(0)
    white = ndimage.gaussian_filter(rng.normal(size=person.volume.hu[0].shape), 0.7)
    noisy = (person.volume.hu[0] + 25 * white / white.std()).astype(np.float32)
    item = Slice(noisy, np.ones(noisy.shape, bool), 0.0, (PIXEL, PIXEL))
    autoencoder = autoencoder_file.load_autoencoder(autoencoder_file.DEFAULT, CPU)
    organs = {name: person.labels[0] == label for label, name in person.names.items()}
    denoised = pipeline.denoise_slice(load.load_by_name("fast", CPU), item, 1.0)
    return Case(autoencoder, organs, denoised, explanation.explain_slice(autoencoder, noisy))


def flags(case: Case, hu: HU, mask: NDArray[np.bool_]) -> tuple[int, int]:
    """Regions flagged that ``mask`` fills a twentieth of, and those it does not touch."""
    found = drift.measure_drift(case.given, explanation.explain_slice(case.autoencoder, hu))
    share = np.array([[mask[slice(*r), slice(*c)].mean() for c in found.columns] for r in found.rows])
    return int((found.flagged & (share >= 0.05)).sum()), int((found.flagged & (share == 0)).sum())


def test_noise_taken_out_again_is_not_flagged(case: Case) -> None:
    assert flags(case, case.denoised, np.zeros(case.denoised.shape, bool)) == (0, 0)


@pytest.mark.parametrize("kidney", ["kidney_left", "kidney_right"])
def test_a_kidney_turned_to_fat_is_flagged_where_it_was(case: Case, kidney: str) -> None:
    gone = ndimage.binary_dilation(case.organs[kidney], iterations=2)
    there, elsewhere = flags(case, np.where(gone, np.float32(-100), case.denoised), gone)
    assert there >= 1
    assert elsewhere <= 2


@pytest.mark.parametrize("step", [80, -80])
def test_a_lesion_pasted_into_the_liver_is_flagged_there(case: Case, step: int) -> None:
    depth = ndimage.distance_transform_edt(case.organs["liver"]) * PIXEL
    assert depth.max() > 12, "no room for the lesion"
    down, along = np.unravel_index(depth.argmax(), depth.shape)
    y, x = np.ogrid[: depth.shape[0], : depth.shape[1]]
    lesion = np.hypot(y - down, x - along) * PIXEL < 12
    there, elsewhere = flags(case, np.where(lesion, case.denoised + step, case.denoised).astype(np.float32), lesion)
    assert there >= 1
    assert elsewhere <= 2
