"""A reference serves any number of images: each is measured as in a pair of its own, and the reference's part once."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.metrics import feature_similarity
from lowdose.metrics.feature_similarity import fsim
from lowdose.metrics.fidelity import psnr
from lowdose.metrics.fidelity_reference import STORED, FidelityReference
from lowdose.metrics.profiles import PROFILES, Profile
from lowdose.metrics.structural_similarity import ssim
from lowdose.metrics.visual_information import vif

Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def images(body: Array) -> list[Array]:
    """The reference, (96, 112) HU, and two noisy versions of it."""
    reference = body[150:246, 90:202]
    rng = np.random.default_rng(0)
    return [reference, *(reference + rng.normal(0, sd, reference.shape).astype(np.float32) for sd in (10, 30))]


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_every_image_is_measured_as_in_a_pair_of_its_own(profile: Profile, images: list[Array]) -> None:
    reference = FidelityReference(images[0], profile)
    window = profile.window
    for hu in images[1:]:
        found = reference.measure(hu)
        one, other = window.apply(hu), window.apply(images[0])
        shown = 1.0 if profile.psnr == "window" else float(np.ptp(other))
        offset = window.low / window.width if profile.signed_ssim else 0.0
        assert found["psnr"] == psnr(one, other, shown)
        assert found["ssim"] == ssim(one + offset, other + offset, shown, profile.ssim)
        assert found["fsim"] == fsim(one, other, 1.0)
        if profile.vif == "stored_swapped":
            expected = vif(STORED.apply(images[0]), STORED.apply(hu), data_range=1.0, scaled_to=STORED.width)
        else:
            expected = vif(one, other, data_range=1.0, scaled_to=255.0)
        assert found["vif"] == expected


def test_the_part_of_the_reference_is_computed_once(images: list[Array], monkeypatch: pytest.MonkeyPatch) -> None:
    computed = []
    congruency = feature_similarity.phase_congruency
    monkeypatch.setattr(
        feature_similarity, "phase_congruency", lambda image: computed.append(image.shape) or congruency(image)
    )
    reference = FidelityReference(images[0], PROFILES["default"])
    for hu in images[1:]:
        reference.measure(hu)
    assert len(computed) == len(images)


def test_what_cannot_be_compared_is_refused(images: list[Array]) -> None:
    with pytest.raises(GeometryMismatch, match="cannot be compared"):
        FidelityReference(images[0], PROFILES["default"]).measure(images[1][:-1])
    with pytest.raises(InvalidSetting, match="constant within"):
        FidelityReference(np.zeros((64, 64)), PROFILES["core_diff"])
