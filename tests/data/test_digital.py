"""Digital patients to train on: any person, phase and thickness, kept on disk, made once and each whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from lowdose.data import digital
from lowdose.data.digital import FIRST_SEED, THICKNESS_MM, VARIETY, DigitalPatients
from lowdose.errors import InvalidSetting, OutputRefused
from lowdose.io.replace import replace_file
from lowdose.labels import LABELS
from lowdose.physics.phantom.patient import HIGHEST, LOWEST, Patient
from lowdose.physics.phantom.phases import PHASES

SLICES = digital.SLICES


@pytest.fixture(autouse=True)
def coarse() -> Iterator[None]:
    """Two slices of large pixels instead of many of small ones."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(digital, "SLICES", 2)
        patched.setattr(digital, "SIZE", 112)
        patched.setattr(digital, "PIXEL_MM", 4.0)
        yield


def test_a_person_is_made_by_number_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(digital, "SLICES", 1)
    one, again = (digital.training_patient(3) for _ in range(2))
    np.testing.assert_array_equal(one.volume.hu, again.volume.hu)
    np.testing.assert_array_equal(one.labels, again.labels)
    assert one.volume.hu.shape == one.labels.shape == (1, 112, 112)
    assert one.volume.geometry.spacing == (digital.SPACING_MM, 4.0, 4.0)
    assert np.isin([LABELS["subcutaneous_fat"], LABELS["skeletal_muscle"]], one.labels).all()


class Asked(Exception):
    """Carries what a digital patient was asked for."""


def asked(monkeypatch: pytest.MonkeyPatch, number: int, slices: int = SLICES) -> tuple[tuple[object, ...], dict]:
    def note(*arguments: object, **settings: object) -> Patient:
        raise Asked(arguments, settings)

    monkeypatch.setattr(digital, "SLICES", slices)
    monkeypatch.setattr(digital, "digital_patient", note)
    with pytest.raises(Asked) as found:
        digital.training_patient(number)
    return found.value.args


def test_people_differ_in_all_that_scans_differ_in(monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = [asked(monkeypatch, number) for number in range(200)]
    assert [arguments for arguments, _ in drawn] == [(FIRST_SEED + number,) for number in range(200)]
    settings = [found for _, found in drawn]
    assert {found["phase"] for found in settings} == set(PHASES)
    for name, (low, high) in (("thickness_mm", THICKNESS_MM), ("variety", VARIETY)):
        values = np.array([found[name] for found in settings])
        assert low <= values.min() < low + 0.1 * (high - low)
        assert high - 0.1 * (high - low) < values.max() <= high
    ends = np.array([found["region"] for found in settings])
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], (SLICES - 1) * digital.SPACING_MM)
    assert LOWEST <= ends.min() < LOWEST + 10
    assert HIGHEST - 10 < ends.max() <= HIGHEST


def test_nobody_is_both_trained_and_tested_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []
    monkeypatch.setattr(digital, "digital_patient", lambda seed, **_: seeds.append(seed))
    for number in range(50):
        digital.test_patient(number)
        digital.training_patient(number)
    assert len(set(seeds)) == 100
    assert all(seed < FIRST_SEED for seed in seeds[::2])
    assert all(seed >= FIRST_SEED for seed in seeds[1::2])


class Counted:
    """Stands in for ``training_patient``: which were made; a patient is full of its number."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, number: int) -> object:
        self.made.append(number)
        shape = (digital.SLICES, 3, 3)
        made = np.full(shape, number + 0.4, np.float32)
        made[1] = -1024.6
        return type("P", (), {"volume": type("V", (), {"hu": made}), "labels": np.full(shape, number, np.uint8)})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr(digital, "training_patient", counted)
    return counted


def test_patients_are_made_once_and_what_is_missing_is_made_again(tmp_path: Path, made: Counted) -> None:
    patients, told = DigitalPatients(tmp_path / "new" / "bank", 3), []
    patients.build(lambda done, total: told.append((done, total)))
    assert made.made == [0, 1, 2]
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert len(patients) == 6
    # The labels are what says that a patient is there.
    (tmp_path / "new" / "bank" / "00001-labels.npy").unlink()
    DigitalPatients(tmp_path / "new" / "bank", 4).build(lambda *_: None)
    assert made.made == [0, 1, 2, 1, 3]


def test_slices_are_whole_hu_in_the_order_of_patients(tmp_path: Path, made: Counted) -> None:
    patients = DigitalPatients(tmp_path, 3)
    patients.build(lambda *_: None)
    for index in range(len(patients)):
        hu, labels = patients[index]
        number, place = divmod(index, 2)
        assert (hu.dtype, labels.dtype) == (np.int16, np.uint8)
        np.testing.assert_array_equal(hu, np.full((3, 3), number if place == 0 else -1025))
        np.testing.assert_array_equal(labels, np.full((3, 3), number))


def test_processes_share_the_work(tmp_path: Path, made: Counted) -> None:
    shares = []
    for rank in range(3):
        before = len(made.made)
        DigitalPatients(tmp_path, 7).build(lambda *_: None, (rank, 3))
        shares.append(made.made[before:])
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]
    DigitalPatients(tmp_path, 1).build(lambda *_: None, (2, 3))
    DigitalPatients(tmp_path, 7).build(lambda *_: None)
    assert len(made.made) == 7


def test_every_slice_is_drawn_of_every_patient_and_thighs_the_least(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(digital, "SLICES", SLICES)
    patients, rng = DigitalPatients(tmp_path, 5), np.random.default_rng(0)
    drawn = np.bincount([patients.draw(rng) for _ in range(9000)], minlength=len(patients))
    assert len(drawn) == len(patients) == 5 * SLICES
    assert drawn.min() > 0
    by_patient = drawn.reshape(5, SLICES)
    np.testing.assert_allclose(by_patient.sum(axis=1), 1800, rtol=0.1)
    of_level = by_patient.sum(axis=0) / 9000
    np.testing.assert_allclose(of_level[2:], of_level[2:].mean(), rtol=0.2)
    assert of_level[0] < 0.5 * of_level[1] < 0.5 * of_level[2:].mean()


def test_stopped_between_the_two_files_a_patient_is_not_there(
    tmp_path: Path, made: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(path: Path, data: bytes) -> None:
        if "labels" in path.name:
            raise KeyboardInterrupt
        replace_file(path, data)

    patients = DigitalPatients(tmp_path, 1)
    with monkeypatch.context() as patched:
        patched.setattr(digital, "replace_file", stop)
        with pytest.raises(KeyboardInterrupt):
            patients.build(lambda *_: None)
    assert [file.name for file in tmp_path.iterdir()] == ["00000-hu.npy"]
    patients.build(lambda *_: None)
    assert made.made == [0, 0]
    assert patients[0][1].shape == (3, 3)


def test_no_patients_and_no_place_are_refused(tmp_path: Path, made: Counted) -> None:
    for count in (0, -1):
        with pytest.raises(InvalidSetting, match=f"patients={count}"):
            DigitalPatients(tmp_path, count)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputRefused, match="file"):
        DigitalPatients(tmp_path / "file" / "bank", 1).build(lambda *_: None)
    assert not made.made
