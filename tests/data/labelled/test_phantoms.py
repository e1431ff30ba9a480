"""Digital patients to train on: any person, phase and thickness, kept on disk, made once and each whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from lowdose.anatomical_labels import LABELS
from lowdose.data.labelled import phantoms
from lowdose.data.labelled.phantoms import FIRST_SEED, THICKNESS_MM, VARIETY, PhantomDataset
from lowdose.errors import InvalidSetting, OutputRefused
from lowdose.io.atomic_replace import replace_array
from lowdose.organ_classes import INDEX
from lowdose.phantom.contrast_phases import PHASES
from lowdose.phantom.patient import HIGHEST, LOWEST, Patient

SLICES = phantoms.SLICES


@pytest.fixture(autouse=True)
def coarse() -> Iterator[None]:
    """Two slices of large pixels instead of many of small ones."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(phantoms, "SLICES", 2)
        patched.setattr(phantoms, "SIZE", 112)
        patched.setattr(phantoms, "PIXEL_MM", 4.0)
        yield


def test_a_person_is_made_by_number_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(phantoms, "SLICES", 1)
    one, again = (phantoms.training_patient(3) for _ in range(2))
    np.testing.assert_array_equal(one.volume.hu, again.volume.hu)
    np.testing.assert_array_equal(one.labels, again.labels)
    assert one.volume.hu.shape == one.labels.shape == (1, 112, 112)
    assert one.volume.geometry.spacing == (phantoms.SPACING_MM, 4.0, 4.0)
    assert np.isin([LABELS["subcutaneous_fat"], LABELS["skeletal_muscle"]], one.labels).all()


class Asked(Exception):
    """Carries what a digital patient was asked for."""


def asked(monkeypatch: pytest.MonkeyPatch, number: int, slices: int = SLICES) -> tuple[tuple[object, ...], dict]:
    def note(*arguments: object, **settings: object) -> Patient:
        raise Asked(arguments, settings)

    monkeypatch.setattr(phantoms, "SLICES", slices)
    monkeypatch.setattr(phantoms, "digital_patient", note)
    with pytest.raises(Asked) as found:
        phantoms.training_patient(number)
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
    np.testing.assert_allclose(ends[:, 1] - ends[:, 0], (SLICES - 1) * phantoms.SPACING_MM)
    assert LOWEST <= ends.min() < LOWEST + 10
    assert HIGHEST - 10 < ends.max() <= HIGHEST


def test_nobody_is_both_trained_and_tested_on(monkeypatch: pytest.MonkeyPatch) -> None:
    seeds = []
    monkeypatch.setattr(phantoms, "digital_patient", lambda seed, **_: seeds.append(seed))
    for number in range(50):
        phantoms.validation_patient(number)
        phantoms.training_patient(number)
    assert len(set(seeds)) == 100
    assert all(seed < FIRST_SEED for seed in seeds[::2])
    assert all(seed >= FIRST_SEED for seed in seeds[1::2])


class Counted:
    """Stands in for ``training_patient``: which were made; a patient is full of its number."""

    def __init__(self) -> None:
        self.made: list[int] = []

    def __call__(self, number: int) -> object:
        self.made.append(number)
        shape = (phantoms.SLICES, 3, 3)
        made = np.full(shape, number + 0.4, np.float32)
        made[1] = -1024.6
        return type("P", (), {"volume": type("V", (), {"hu": made}), "labels": np.full(shape, number, np.uint8)})


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> Counted:
    counted = Counted()
    monkeypatch.setattr(phantoms, "training_patient", counted)
    return counted


def test_patients_are_made_once_and_what_is_missing_is_made_again(tmp_path: Path, made: Counted) -> None:
    patients, told = PhantomDataset(tmp_path / "new" / "bank", 3), []
    patients.build(lambda done, total: told.append((done, total)))
    assert made.made == [0, 1, 2]
    assert told == [(1, 3), (2, 3), (3, 3)]
    assert len(patients) == 6
    # The labels are what says that a patient is there.
    (tmp_path / "new" / "bank" / "00001-labels.npy").unlink()
    PhantomDataset(tmp_path / "new" / "bank", 4).build(lambda *_: None)
    assert made.made == [0, 1, 2, 1, 3]


def test_slices_are_whole_hu_in_the_order_of_patients(tmp_path: Path, made: Counted) -> None:
    patients = PhantomDataset(tmp_path, 3)
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
        PhantomDataset(tmp_path, 7).build(lambda *_: None, (rank, 3))
        shares.append(made.made[before:])
    assert shares == [[0, 3, 6], [1, 4], [2, 5]]
    PhantomDataset(tmp_path, 1).build(lambda *_: None, (2, 3))
    PhantomDataset(tmp_path, 7).build(lambda *_: None)
    assert len(made.made) == 7


def test_processes_of_one_machine_share_the_work_too(tmp_path: Path, made: Counted) -> None:
    reports: list[tuple[int, int]] = []
    PhantomDataset(tmp_path, 5).build(lambda *report: reports.append(report), processes=3)
    assert made.made == []  # nothing was left for this process
    assert reports[-1] == (5, 5)
    for index in range(10):
        assert PhantomDataset(tmp_path, 5)[index][1][0, 0] == index // 2


SHOWN = [("liver",), ("liver", "spleen"), ("liver",), ("liver",), ("liver", "prostate"), ("liver", "spleen")]
"""Organs on the slices of three patients, two slices each."""


def shown(number: int) -> object:
    """Stands in for ``training_patient``: a row of the image for each organ of ``SHOWN``, the rest outside."""
    labels = np.zeros((2, 4, 4), np.uint8)
    for place in range(2):
        for row, name in enumerate(SHOWN[2 * number + place]):
            labels[place, row] = LABELS[name]
    return type("P", (), {"volume": type("V", (), {"hu": labels.astype(np.float32)}), "labels": labels})


def test_rare_organs_are_asked_for_more_often_than_chance_shows_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(phantoms, "training_patient", shown)
    patients = PhantomDataset(tmp_path, 3)
    patients.build(lambda *_: None)
    names = ("outside", "liver", "spleen", "prostate")
    expected = np.array([[name in ("outside", *slice_) for name in names] for slice_ in SHOWN])
    np.testing.assert_array_equal(patients.occurring[:, [INDEX[name] for name in names]], expected)
    assert patients.occurring.sum() == expected.sum()
    # Half of the draws are of any slice; the other half of an organ, by its share of the slices, and then a slice.
    wish = expected.mean(axis=0) ** -phantoms.RARE_POWER
    by_organ = (expected / expected.sum(axis=0)) @ (wish / wish.sum())
    rng = np.random.default_rng(0)
    drawn = np.bincount([patients.draw(rng) for _ in range(6000)], minlength=6) / 6000
    np.testing.assert_allclose(drawn, 0.5 / 6 + 0.5 * by_organ, atol=0.02)
    assert drawn[4] > 2 * drawn[0]


def test_stopped_between_the_two_files_a_patient_is_not_there(
    tmp_path: Path, made: Counted, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(path: Path, array: NDArray[np.generic]) -> None:
        if "labels" in path.name:
            raise KeyboardInterrupt
        replace_array(path, array)

    patients = PhantomDataset(tmp_path, 1)
    with monkeypatch.context() as patched:
        patched.setattr(phantoms, "replace_array", stop)
        with pytest.raises(KeyboardInterrupt):
            patients.build(lambda *_: None)
    assert [file.name for file in tmp_path.iterdir()] == ["00000-hu.npy"]
    patients.build(lambda *_: None)
    assert made.made == [0, 0]
    assert patients[0][1].shape == (3, 3)


def test_no_patients_and_no_place_are_refused(tmp_path: Path, made: Counted) -> None:
    for count in (0, -1):
        with pytest.raises(InvalidSetting, match=f"patients={count}"):
            PhantomDataset(tmp_path, count)
    (tmp_path / "file").write_text("")
    with pytest.raises(OutputRefused, match="file"):
        PhantomDataset(tmp_path / "file" / "bank", 1).build(lambda *_: None)
    assert not made.made
