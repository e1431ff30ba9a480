"""A series at a fraction of its dose: what comes out, on what it depends, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest

from lowdose.errors import InvalidSetting, NotCT
from lowdose.image import Acquisition
from lowdose.io.dicom.new_series import write_new_series
from lowdose.io.open_series import open_sink, open_source
from lowdose.io.provenance import simulation_provenance
from lowdose.phantom.test_objects import water
from lowdose.physics.dose_simulator import DoseSimulator
from lowdose.physics.geometry import FanBeam
from lowdose.physics.kernels import B30
from lowdose.physics.scanner import Scanner
from lowdose.simulation.calibration import Calibration
from lowdose.simulation.series import neighbour_weights, simulate_series
from lowdose.volume import Volume

SIMULATOR = DoseSimulator(Scanner(fan=FanBeam(360, 240, 3.94)), B30)


@pytest.fixture(scope="module")
def series(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Four slices of a 200 mm cylinder of water in air, with some padding."""
    body = water(size=96, pixel_mm=2.6, slices=4).volume
    hu = np.round(body.hu)
    hu[:, 0, 0] = 3071
    folder = tmp_path_factory.mktemp("water") / "in"
    write_new_series(Volume(hu, body.geometry, Acquisition("B30f", 3.0, 120.0, "SIEMENS")), folder, description="water")
    return folder


def simulate(source: Path, out: Path, dose: float = 0.25, seed: int = 1, z_correlation: float = 0.0) -> np.ndarray:
    with open_source(source) as opened:
        calibration = Calibration(SIMULATOR, (600.0,) * len(opened), "as told")
        with open_sink(opened, out, simulation_provenance("0", dose, seed, "As told.")) as sink:
            simulate_series(opened, sink, calibration, dose=dose, seed=seed, z_correlation=z_correlation)
    with open_source(out) as made:
        return np.stack([made.read(i).hu for i in range(len(made))])


def test_full_dose_comes_out_bit_for_bit(series: Path, tmp_path: Path) -> None:
    simulate(series, tmp_path / "out", dose=1.0)
    pixels = [
        sorted(p.pixel_array.tobytes() for p in map(pydicom.dcmread, f.iterdir())) for f in (series, tmp_path / "out")
    ]
    assert pixels[0] == pixels[1]


def test_the_noise_of_a_slice_does_not_depend_on_its_neighbours(series: Path, tmp_path: Path) -> None:
    whole = simulate(series, tmp_path / "whole")
    part = tmp_path / "part"
    part.mkdir()
    third = next(f for f in series.iterdir() if pydicom.dcmread(f).InstanceNumber == 3)
    (part / "only.dcm").write_bytes(third.read_bytes())
    np.testing.assert_array_equal(simulate(part, tmp_path / "alone")[0], whole[2])
    assert (simulate(series, tmp_path / "other", seed=2) != whole).any()


def test_noise_level_and_independence(series: Path, tmp_path: Path) -> None:
    quarter = simulate(series, tmp_path / "a", dose=0.25)[:, 30:66, 30:66]
    half = simulate(series, tmp_path / "b", dose=0.5)[:, 30:66, 30:66]
    # (1 - a) / a is 3 and 1; the pixels are coarser than the noise, so each counts.
    assert quarter.std() / half.std() == pytest.approx(np.sqrt(3), rel=0.06)
    assert abs(np.corrcoef(quarter[0].ravel(), quarter[1].ravel())[0, 1]) < 0.15


def test_correlation_along_z(series: Path, tmp_path: Path) -> None:
    plain, linked = (simulate(series, tmp_path / f"z{c}", z_correlation=c)[:, 25:71, 25:71] for c in (0.0, 0.5))
    neighbours = [np.corrcoef(linked[i].ravel(), linked[i + 1].ravel())[0, 1] for i in (0, 1, 2)]
    assert np.mean(neighbours) == pytest.approx(0.5, abs=0.08)
    assert linked[1:3].std() == pytest.approx(plain[1:3].std(), rel=0.06)


@pytest.mark.parametrize("correlation", [0.0, 0.2, 0.7])
def test_shares_keep_the_variance(correlation: float) -> None:
    own, beside = neighbour_weights(correlation)
    assert own**2 + 2 * beside**2 == pytest.approx(1.0)
    assert 2 * own * beside == pytest.approx(correlation, abs=1e-6)


def test_header_of_a_simulated_image(series: Path, tmp_path: Path) -> None:
    simulate(series, tmp_path / "out")
    made = pydicom.dcmread(next((tmp_path / "out").iterdir()))
    assert made.ImageType[0] == "DERIVED"
    assert "fraction 0.25" in made.DerivationDescription
    assert "denoising" not in made.DerivationDescription
    assert "simulated 25% dose" in made.SeriesDescription
    term = made.DerivationCodeSequence[-1]
    assert (term.CodingSchemeDesignator, term.CodeMeaning) == ("99LOWDOSE", "Simulation of low dose")
    assert "dose fraction 0.25" in made.ContributingEquipmentSequence[-1].SoftwareVersions


@pytest.mark.parametrize("dose", [0.0, -1.0, 1.5, float("nan")])
def test_a_dose_out_of_range_leaves_nothing(series: Path, tmp_path: Path, dose: float) -> None:
    with pytest.raises(InvalidSetting, match=r"must be from 0\.001 to 1"):
        simulate(series, tmp_path / "out", dose=dose)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("correlation", [-0.1, 0.71, float("nan")])
def test_a_correlation_out_of_range(correlation: float) -> None:
    with pytest.raises(InvalidSetting, match=r"between 0 and 0\.7"):
        neighbour_weights(correlation)


def test_values_that_are_not_hu(tmp_path: Path) -> None:
    np.save(tmp_path / "unit.npy", np.random.default_rng(0).uniform(0, 1, (2, 64, 64)).astype(np.float32))
    with pytest.raises(NotCT), open_source(tmp_path / "unit.npy") as opened:
        SIMULATOR.simulate(opened.read(0).hu, (1.0, 1.0), exposure=100, dose=0.5, seed=0, key="a")
