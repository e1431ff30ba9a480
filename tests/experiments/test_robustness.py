"""Damaged DICOM files are derived right or refused; the experiment itself tells failures from these."""

from __future__ import annotations

from pathlib import Path

import pytest
from experiments.robustness import case
from experiments.robustness.case import DERIVED, FAILED, REFUSED, Cases, Kind
from experiments.robustness.fuzz_dicom import count, run_cases

from lowdose.errors import NotCT

pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def cases(tmp_path: Path) -> Cases:
    return Cases("header", tmp_path / "case")


def test_a_seed_makes_the_same_file_every_time(cases: Cases, tmp_path: Path) -> None:
    assert cases.damaged(7)[2] == Cases("header", tmp_path).damaged(7)[2] != cases.damaged(8)[2]


def test_what_is_neither_derived_nor_refused_has_failed(cases: Cases, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("nobody expects it")

    monkeypatch.setattr(case.lowdose, "denoise", broken)
    assert cases.run(0)[4:] == (FAILED, "ZeroDivisionError: nobody expects it")


def test_a_refusal_of_several_lines_has_failed(cases: Cases, monkeypatch: pytest.MonkeyPatch) -> None:
    def talkative(*_: object, **__: object) -> None:
        raise NotCT("this is not a CT image,\nand it will not become one")

    monkeypatch.setattr(case.lowdose, "denoise", talkative)
    assert cases.run(0).outcome == FAILED


def test_derived_slices_that_differ_have_failed(cases: Cases, monkeypatch: pytest.MonkeyPatch) -> None:
    derive = case.lowdose.denoise
    derived = next(seed for seed in range(100) if cases.run(seed).outcome == DERIVED)
    monkeypatch.setattr(
        case.lowdose, "denoise", lambda *args, **options: derive(*args, **(options | {"strength": 1.0}))
    )
    assert cases.run(derived).reason.startswith("WrongResult: not derived as they are")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "number", "jobs"),
    [
        ("header", 30, 2),
        ("pixels", 10, 1),
        pytest.param("header", 200, 2, marks=pytest.mark.long),
        pytest.param("pixels", 50, 2, marks=pytest.mark.long),
    ],
)
def test_damaged_files_are_derived_right_or_refused(kind: Kind, number: int, jobs: int) -> None:
    outcomes = list(run_cases(kind, range(number), jobs))
    assert [outcome for outcome in outcomes if outcome.outcome == FAILED] == []
    assert {outcome.outcome for outcome in outcomes} == {DERIVED, REFUSED}
    assert sum(row[DERIVED] + row[REFUSED] for row in count(outcomes)) == number
