"""Profiles: what they compute, and that a label says all of it."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Window
from lowdose.metrics.fidelity import psnr, rmse
from lowdose.metrics.profiles import METRICS, PROFILES, Profile, linear_voi, measure_fidelity
from lowdose.metrics.structural_similarity import ssim
from lowdose.metrics.visual_information import vif

Array = NDArray[np.float32]


@pytest.fixture(scope="module")
def pair(body: Array) -> tuple[Array, Array]:
    """A noisy image and its reference, (128, 128) HU, with fat, organ and bone."""
    reference = body[150:278, 90:218]
    noise = np.random.default_rng(0).normal(0, 25, reference.shape).astype(np.float32)
    return reference + noise, reference


def test_names_of_the_profiles() -> None:
    assert {"default", "leda", "red_cnn", "core_diff", "ldct_bench"} <= set(PROFILES)
    assert all(profile.name == name for name, profile in PROFILES.items())


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_identity_is_perfect_in_every_profile(profile: Profile, pair: tuple[Array, Array]) -> None:
    values = measure_fidelity(pair[1], pair[1], profile)
    assert list(values) == list(METRICS)
    assert (values["rmse"], values["psnr"]) == (0.0, math.inf)
    assert [values[name] for name in ("ssim", "fsim", "vif")] == pytest.approx([1.0, 1.0, 1.0], abs=1e-6)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_noise_is_seen_in_every_profile(profile: Profile, pair: tuple[Array, Array]) -> None:
    values = measure_fidelity(*pair, profile)
    assert all(math.isfinite(value) for value in values.values())
    assert max(values["ssim"], values["fsim"], values["vif"]) < 1.0


def test_ten_hu_inside_the_window_is_32_04_db() -> None:
    reference = np.random.default_rng(0).uniform(-150, 220, (64, 64)).astype(np.float32)
    values = measure_fidelity(reference + np.float32(10), reference, PROFILES["default"])
    assert values["psnr"] == pytest.approx(32.0412, abs=1e-4)
    assert values["rmse"] == pytest.approx(10.0, abs=1e-4)


def test_what_lies_outside_the_window_does_not_count(pair: tuple[Array, Array]) -> None:
    image, reference = pair
    brighter = np.where(reference > 240, 3000, reference).astype(np.float32)
    assert measure_fidelity(brighter, reference, PROFILES["default"])["rmse"] == 0.0
    assert image.shape == reference.shape


def test_leda_counts_the_window_as_one(pair: tuple[Array, Array]) -> None:
    values = measure_fidelity(*pair, PROFILES["leda"])
    hu = [Window(-1000, 2000).apply(image) * 3000 for image in pair]
    assert values["rmse"] * 3000 == pytest.approx(rmse(*hu))
    assert values["psnr"] == pytest.approx(-20 * math.log10(values["rmse"]))
    assert values["ssim"] == pytest.approx(ssim(*hu, 3000.0, "clamped"))


def test_red_cnn_takes_ssim_of_signed_hu(pair: tuple[Array, Array]) -> None:
    clipped = [np.clip(image, -160, 240).astype(np.float64) for image in pair]
    value = measure_fidelity(*pair, PROFILES["red_cnn"])["ssim"]
    assert value == pytest.approx(ssim(*clipped, 400.0, "red_cnn"))
    assert value != pytest.approx(ssim(*[image + 160 for image in clipped], 400.0, "red_cnn"), abs=1e-4)


def test_core_diff_takes_the_range_of_each_reference(pair: tuple[Array, Array]) -> None:
    image, reference = (np.clip(array, -1000, 1000).astype(np.float64) for array in pair)
    values = measure_fidelity(*pair, PROFILES["core_diff"])
    assert values["psnr"] == pytest.approx(psnr(image, reference, float(np.ptp(reference))))
    grey = [(array + 1000) * 255 / 2000 for array in (image, reference)]
    assert values["ssim"] == pytest.approx(ssim(*grey, float(np.ptp(grey[1])), "red_cnn"))
    with pytest.raises(InvalidSetting, match="constant"):
        measure_fidelity(pair[0], np.zeros_like(pair[0]), PROFILES["core_diff"])


def test_ldct_bench_swaps_vif_on_stored_values(pair: tuple[Array, Array]) -> None:
    values = measure_fidelity(*pair, PROFILES["ldct_bench"])
    image, reference = (np.clip(array + 1024.0, 0, 2924) for array in pair)
    assert values["rmse"] == pytest.approx(rmse(image, reference), rel=1e-6)
    swapped = vif(reference, image, data_range=2924.0, scaled_to=2924.0)
    assert values["vif"] == pytest.approx(swapped, rel=1e-6)
    assert values["vif"] != pytest.approx(vif(image, reference, data_range=2924.0, scaled_to=2924.0), rel=1e-2)


def test_the_linear_voi_function_of_dicom() -> None:
    assert linear_voi(50, 400) == Window(-150.0, 249.0)
    assert PROFILES["ldct_bench_neuro"].window == Window(0.0, 79.0)
    assert PROFILES["ldct_bench_chest"].window == Window(-1350.0, 149.0)


def test_another_window_moves_the_range_and_the_labels(pair: tuple[Array, Array]) -> None:
    wide = PROFILES["default"].with_window(Window(-1000, 1000))
    assert wide.data_range == 2000.0
    assert "[-1000, 1000] HU, range 2000 HU" in wide.label("psnr")
    assert measure_fidelity(*pair, wide)["psnr"] > measure_fidelity(*pair, PROFILES["default"])["psnr"] + 10


def test_labels_say_window_range_and_flavour() -> None:
    default = PROFILES["default"]
    flavour = "Gaussian 11x11 sigma 1.5, biased, borders cropped"
    assert default.label("ssim") == f"SSIM ({flavour}; [-160, 240] HU, range 400 HU)"
    assert default.label("psnr") == "PSNR (dB; [-160, 240] HU, range 400 HU)"
    assert default.label("rmse") == "RMSE (HU; [-160, 240] HU)"
    assert "max - min of each reference" in PROFILES["core_diff"].label("psnr")
    assert "swapped" in PROFILES["ldct_bench"].label("vif")
    assert "signed HU" in PROFILES["red_cnn"].label("ssim")
    assert "window as 1" in PROFILES["leda"].label("rmse")


def test_the_heading_of_rmse_says_its_unit() -> None:
    assert PROFILES["default"].heading("rmse") == "RMSE (HU)"
    assert PROFILES["leda"].heading("rmse") == "RMSE (of window)"
    assert PROFILES["leda"].heading("ssim") == "SSIM"


def test_no_two_profiles_measure_ssim_alike_under_one_label() -> None:
    assert len({profile.label("ssim") for profile in PROFILES.values()}) == len(PROFILES)


@pytest.mark.parametrize("profile", PROFILES.values(), ids=list(PROFILES))
def test_a_description_holds_every_label(profile: Profile) -> None:
    text = profile.describe()
    assert all(profile.label(metric) in text for metric in METRICS)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(InvalidSetting, match="fsim"):
        PROFILES["default"].label("mse")
    with pytest.raises(InvalidSetting, match="flavour"):
        Profile("mine", Window(0, 1), "", ssim="other")  # type: ignore[arg-type]
