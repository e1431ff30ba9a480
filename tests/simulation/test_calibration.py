"""What scanner a series came from: by its header where that is known, else by its own noise."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from lowdose.errors import InvalidSetting, NotCT
from lowdose.image import HU, Acquisition
from lowdose.phantom.test_objects import water
from lowdose.physics.acquisition import acquire
from lowdose.physics.dose_simulator import DoseSimulator
from lowdose.physics.kernels import B30, D45, Kernel, kernel_matching_f_av, parse_kernel
from lowdose.physics.scanner import FITTED_SCANNERS, Scanner
from lowdose.simulation.calibration import ScanDescription, _find_fit, calibrate, sampled_indices

PIXEL = (0.9, 0.9)
SIEMENS = Acquisition("B30f", 3.0, 120.0, "SIEMENS")


@cache
def body() -> HU:
    return np.asarray(water(size=320, pixel_mm=PIXEL[0], slices=1).volume.hu[0])


@cache
def scanned() -> HU:
    volume = water(size=320, pixel_mm=PIXEL[0], slices=1).volume
    return np.asarray(acquire(volume, Scanner(), Kernel("hann", 0.9), mas=60, dose=0.25, seed=3).full.hu[0])


def scan(made: Acquisition = SIEMENS, **other: object) -> ScanDescription:
    """Describe a series of one slice, which stands for all others where there are more."""
    known = ScanDescription("a series", made, 3.0, (60.0,), PIXEL, lambda _: scanned())
    return replace(known, **other)  # type: ignore[arg-type]


def test_a_kernel_that_was_fitted_goes_by_the_header() -> None:
    found = calibrate(scan())
    assert (found.simulator.kernel, found.simulator.scanner) == FITTED_SCANNERS["B30"]
    assert found.exposures == (180.0,)
    assert calibrate(scan(replace(SIEMENS, kernel="D45f"))).simulator.kernel == D45


@pytest.mark.parametrize(
    "change", [{"kernel": "STANDARD"}, {"manufacturer": "GE"}, {"kvp": 80.0}, {"kernel": None}, {"kvp": None}]
)
def test_a_scanner_kernel_or_voltage_of_another_kind_has_no_fit(change: dict[str, object]) -> None:
    assert _find_fit(SIEMENS) is not None
    assert _find_fit(replace(SIEMENS, **change)) is None  # type: ignore[arg-type]


@pytest.mark.slow
def test_without_a_fit_the_noise_itself_is_measured() -> None:
    found = calibrate(scan(replace(SIEMENS, kernel="STANDARD")), count_floor=9.0)
    assert "noise of the series itself" in found.how
    assert found.simulator.scanner == replace(Scanner(), count_floor=9.0)
    # A slightly wrong kernel is made up for by the exposure: half the dose must add as much noise as is there.
    assert found.simulator.kernel.cutoff == pytest.approx(0.9, rel=0.15)
    plain = DoseSimulator(Scanner(), found.simulator.kernel)
    added = plain.inserted(scanned(), PIXEL, exposure=found.exposures[0], dose=0.5, seed=1, key="new")
    middle = np.s_[110:210, 110:210]
    assert added[middle].std() == pytest.approx((scanned() - body())[middle].std(), rel=0.1)


@pytest.mark.slow
def test_without_mas_every_slice_counts_alike() -> None:
    found = calibrate(scan(replace(SIEMENS, kernel="X"), mas=(None, 50.0)))
    assert len(found.exposures) == 2
    assert len(set(found.exposures)) == 1


def test_what_the_user_states_wins() -> None:
    found = calibrate(scan(), kernel=B30, mas=10.0)
    assert found.exposures == (30.0,)
    assert calibrate(scan(), kernel=D45).simulator.kernel == D45


def test_the_count_floor_is_that_of_the_scanner() -> None:
    plain, floored = calibrate(scan()), calibrate(scan(), count_floor=9.0)
    assert plain.simulator.scanner.count_floor == 0
    assert floored.simulator.scanner == replace(plain.simulator.scanner, count_floor=9.0)
    assert floored.exposures == plain.exposures


@pytest.mark.parametrize("mas", [0.0, -5.0, float("nan"), float("inf")])
def test_mas_that_cannot_be(mas: float) -> None:
    with pytest.raises(InvalidSetting, match="mAs"):
        calibrate(scan(), mas=mas)


def test_nothing_stated_and_nothing_to_measure() -> None:
    clean = scan(replace(SIEMENS, kernel=None), read=lambda _: body())
    with pytest.raises(NotCT, match="state --kernel, --mas"):
        calibrate(clean)


def test_a_body_cut_off_is_warned_of() -> None:
    assert not calibrate(scan()).warnings
    inside = scan(read=lambda _: scanned()[60:260, 60:260])
    assert "beyond the image" in calibrate(inside).warnings[0]


@pytest.mark.parametrize(
    ("count", "found"), [(1, [0]), (3, [0, 1, 2]), (5, [0, 1, 2, 3, 4]), (100, [10, 30, 50, 70, 90])]
)
def test_samples_are_spread(count: int, found: list[int]) -> None:
    numbers = sampled_indices(count)
    assert len(numbers) == len(found)
    assert np.abs(np.array(numbers) - found).max() <= 1
    assert set(numbers) <= set(range(count))


@pytest.mark.parametrize("cutoff", [0.4, 0.776, 1.2])
def test_the_matching_kernel_is_the_inverse_of_its_mean_frequency(cutoff: float) -> None:
    f_av = Kernel("hann", cutoff).f_av(0.7, 0.7)
    assert kernel_matching_f_av(f_av, 0.7, 0.7).cutoff == pytest.approx(cutoff, rel=1e-3)


def test_noise_sharper_than_any_window_is_the_ramp() -> None:
    assert kernel_matching_f_av(0.6, 0.7, 0.7).window == "ramp"


@pytest.mark.parametrize("text", ["", "b31", "hann", "hann=", "hann=x", "hann=-1", "hann=99", "ramp=2"])
def test_kernels_that_are_not_known(text: str) -> None:
    with pytest.raises(InvalidSetting, match=r"kernel|Hann"):
        parse_kernel(text)
