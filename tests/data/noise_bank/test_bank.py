"""The noise bank: the algebra of its weights, noise as strong as the exact simulator's, builds that go on."""

from __future__ import annotations

import json
import pickle
import shutil
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lowdose.data.noise_bank import plan as bank_plan
from lowdose.data.noise_bank.bank import LEVELS, NoiseBank, level_weights
from lowdose.data.noise_bank.build import CalibratedSlice, build_noise_bank
from lowdose.data.noise_bank.plan import Plan, dose_levels, prepare_folder
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.errors import IncompatiblePack, LowDoseError, NotCT, OutputRefused
from lowdose.physics.dose_simulator import DoseSimulator, noise_generator
from support.small_scanner import EXPOSURE, PIXEL, SIMULATOR, exposed, normal, water

WHOLE = (slice(0, 96), slice(0, 96))
INNER = (slice(40, 56), slice(40, 56))


def plan(slices: Sequence[NormalDoseSlice], realisations: int = 2, rule: str = "water", low: float = 0.05) -> Plan:
    return Plan({item.key: item.shape for item in slices}, realisations, rule, dose_levels(low))


def build(folder: Path, slices: Sequence[NormalDoseSlice], realisations: int = 2) -> NoiseBank:
    prepare_folder(folder, plan(slices, realisations))
    build_noise_bank(folder, slices, exposed)
    return NoiseBank(folder)


def quantum(dose: float) -> float:
    return (1 - dose) / dose


def electronic(dose: float) -> float:
    return (1 - dose**2) / dose**2


def total(amount: Callable[[float], float], weights: Sequence[float], doses: Sequence[float] = LEVELS) -> float:
    return sum(weight**2 * amount(dose) for weight, dose in zip(weights, doses, strict=True))


@given(st.floats(0.005, 0.5), st.floats(0.005, 0.05))
def test_weights_of_two_neighbouring_levels_solve_both_equations(dose: float, low: float) -> None:
    dose, doses = max(dose, low), dose_levels(low)
    weights = level_weights(dose, 1.0, doses)
    for amount in (quantum, electronic):
        assert total(amount, weights, doses) == pytest.approx(amount(dose), rel=1e-9)
    used = [place for place, weight in enumerate(weights) if weight > 0]
    assert used in ([0], [1], [2], [0, 1], [1, 2])


@given(st.floats(0.005, 1.0), st.floats(0.1, 10.0))
def test_photon_noise_is_exact_for_any_dose_and_flux(dose: float, flux: float) -> None:
    weights = level_weights(dose, flux)
    assert min(weights) >= 0
    assert total(quantum, weights) == pytest.approx(quantum(dose) / flux, rel=1e-9, abs=1e-12)


@given(st.floats(0.05, 0.5), st.floats(0.5, 2.0))
def test_electronic_noise_goes_with_the_square_of_the_flux_where_it_can(dose: float, flux: float) -> None:
    made, wanted = total(electronic, level_weights(dose, flux)), electronic(dose) / flux**2
    asked = (quantum(dose) + 2) / flux - 2
    if quantum(0.5) <= asked <= quantum(0.05):
        assert made == pytest.approx(wanted, rel=1e-9)
    else:
        assert (made > wanted) == (asked < quantum(0.5))


@given(st.floats(0.5, 0.999))
def test_above_the_last_level_the_electronic_part_is_at_most_half_too_large(dose: float) -> None:
    weights = level_weights(dose)
    assert weights[:2] == [0, 0]
    assert 1 - 1e-9 <= total(electronic, weights) / electronic(dose) <= 1.5


def test_levels_are_their_own_and_full_dose_adds_nothing() -> None:
    for place, dose in enumerate(LEVELS):
        np.testing.assert_allclose(level_weights(dose), np.eye(3)[place], atol=1e-6)
    assert level_weights(1.0) == level_weights(1.0, 0.5) == [0, 0, 0]
    assert dose_levels(0.3) == LEVELS
    assert dose_levels(0.02) == pytest.approx((0.02, 0.1, 0.5))


def test_variance_at_a_place_is_that_of_the_exact_simulator(tmp_path: Path) -> None:
    bank = build(tmp_path / "bank", [normal(0)], realisations=4)
    rng = np.random.default_rng(0)
    expected = SIMULATOR.expected(water(), PIXEL, EXPOSURE)
    # The middle, near the edge of the water, and in air
    windows = [tuple(slice(c - 8, c + 8) for c in centre) for centre in ((48, 48), (48, 72), (16, 48))]
    for dose in (0.05, 0.3, 0.7):
        true = [SIMULATOR.noise(expected, dose, noise_generator(1, f"{dose} {n}")) for n in range(15)]
        for window in windows:
            made = [bank["key0"].noise(window, dose, 1.0, rng) for _ in range(100)]
            level = np.sqrt(np.mean(np.square([image[window] for image in true])))
            assert np.sqrt(np.mean(np.square(made))) == pytest.approx(level, rel=0.08), (dose, window)


def test_half_the_photons_double_the_variance(tmp_path: Path) -> None:
    bank = build(tmp_path / "bank", [normal(0)])
    for dose in (0.25, 0.8):
        half, whole = (
            [bank["key0"].noise(INNER, dose, flux, np.random.default_rng(n)) for n in range(50)] for flux in (0.5, 1.0)
        )
        assert np.var(half) / np.var(whole) == pytest.approx(2.0, rel=0.1)


def test_bias_of_starved_rays_is_that_of_the_exact_simulator(tmp_path: Path) -> None:
    starved = 10.0
    prepare_folder(tmp_path / "bank", plan([normal(0)], realisations=12))
    build_noise_bank(tmp_path / "bank", [normal(0)], lambda _: [CalibratedSlice(SIMULATOR, starved)])
    made = NoiseBank(tmp_path / "bank")["key0"]
    expected = SIMULATOR.expected(water(), PIXEL, starved)
    wide = (slice(34, 62), slice(34, 62))
    for dose, error in ((0.05, 0.2), (0.1, 0.3)):
        true = np.mean([SIMULATOR.noise(expected, dose, noise_generator(2, f"{dose} {n}"))[wide] for n in range(30)])
        mean = np.mean([made.noise(wide, dose, 1.0, np.random.default_rng(n)) for n in range(100)])
        assert abs(true) > 1
        assert mean == pytest.approx(true, rel=error)


def test_dark_bands_of_a_count_floor_are_those_of_the_exact_simulator(tmp_path: Path) -> None:
    simulator = DoseSimulator(replace(SIMULATOR.scanner, count_floor=12.0), SIMULATOR.kernel)
    prepare_folder(tmp_path / "bank", plan([normal(0)], realisations=4))
    build_noise_bank(tmp_path / "bank", [normal(0)], lambda _: [CalibratedSlice(simulator, 20.0)])
    made, expected = NoiseBank(tmp_path / "bank")["key0"], simulator.expected(water(), PIXEL, 20.0)
    wide = (slice(34, 62), slice(34, 62))
    bands = {dose: simulator.dark_bands(expected, dose) for dose in (*LEVELS, 0.07, 0.1)}
    darkening = {dose: float(np.mean(band[wide])) for dose, band in bands.items() if band is not None}
    for dose in (0.07, 0.1):
        squares = [weight**2 for weight in level_weights(dose)]
        by_levels = sum(w * darkening[level] for w, level in zip(squares, LEVELS, strict=True))
        assert by_levels == pytest.approx(darkening[dose], rel=0.03)
        mean = np.mean([made.noise(wide, dose, 1.0, np.random.default_rng(n)) for n in range(40)])
        assert darkening[dose] < -4
        assert mean == pytest.approx(darkening[dose], rel=0.2)


def test_noise_is_another_one_each_time_and_the_same_for_the_same_random_numbers(tmp_path: Path) -> None:
    item = build(tmp_path / "bank", [normal(0)])["key0"]
    one, other, again = (item.noise(INNER, 0.1, 1.0, np.random.default_rng(seed)) for seed in (1, 2, 1))
    assert np.array_equal(one, again)
    assert abs(np.corrcoef(one.ravel(), other.ravel())[0, 1]) < 0.5
    # Windows at the border and the whole slice are moved as far as there is room: not at all
    corner = (slice(0, 16), slice(80, 96))
    for seed in range(20):
        assert item.noise(corner, 0.1, 1.0, np.random.default_rng(seed)).shape == (16, 16)
    assert item.noise(WHOLE, 0.1, 1.0, np.random.default_rng(0)).shape == (96, 96)


class Ended(Exception):
    pass


def files(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_an_interrupted_build_goes_on_to_the_same_bank(tmp_path: Path) -> None:
    slices = [normal(n, patient=1 + n // 2) for n in range(4)] + [normal(9, size=80, patient=3)]
    whole = build(tmp_path / "whole", slices)

    def end(done: int, total: int) -> None:
        if done == 3:
            raise Ended

    parts = tmp_path / "parts"
    prepare_folder(parts, plan(slices))
    with pytest.raises(Ended):
        build_noise_bank(parts, slices, exposed, advance=end)
    with (parts / "built-0.jsonl").open("a") as log:
        log.write('{"key": "key3", "sca')
    seen: list[tuple[int, int]] = []
    prepare_folder(parts, plan(slices))
    build_noise_bank(parts, slices, exposed, advance=lambda *progress: seen.append(progress))
    assert seen == [(1, 2), (2, 2)]
    assert sorted(NoiseBank(parts).built) == sorted(whole.built)
    for name, content in files(tmp_path / "whole").items():
        if name.endswith(".npy"):
            assert files(parts)[name] == content
    for key, built in whole.built.items():
        np.testing.assert_array_equal(built, NoiseBank(parts).built[key])


def test_processes_share_a_build(tmp_path: Path) -> None:
    slices = [normal(n) for n in range(5)]
    whole = build(tmp_path / "whole", slices)
    prepare_folder(tmp_path / "shared", plan(slices))
    for rank in (2, 0, 1):
        build_noise_bank(tmp_path / "shared", slices, exposed, share=(rank, 3))
    shared = NoiseBank(tmp_path / "shared")
    assert len(list((tmp_path / "shared").glob("built-*.jsonl"))) == 3
    for item in slices:
        np.testing.assert_array_equal(shared[item.key].planes, whole[item.key].planes)


def test_a_finished_bank_serves_some_of_its_slices(tmp_path: Path) -> None:
    slices = [normal(n) for n in range(3)]
    build(tmp_path / "bank", slices)
    before = files(tmp_path / "bank")
    prepare_folder(tmp_path / "bank", plan(slices[2:]))
    build_noise_bank(tmp_path / "bank", slices[2:], lambda _: pytest.fail("calibrated again"))
    assert files(tmp_path / "bank") == before


def test_a_bank_for_something_else_is_refused(tmp_path: Path) -> None:
    slices = [normal(n) for n in range(2)]
    build(tmp_path / "bank", slices)
    others = {
        "realisations: 2, not 3": plan(slices, 3),
        "calibration: water, not own noise": plan(slices, rule="own noise"),
        r"doses: \(0.05, .*, 0.5\), not \(0.02, 0.1, 0.5\)": plan(slices, low=0.02),
        "1 of 3 slices are not in it": plan([*slices, normal(7)]),
        "1 of 2 slices are not in it": plan([slices[0], normal(1, size=80)]),
    }
    before = files(tmp_path / "bank")
    for words, other in others.items():
        with pytest.raises(IncompatiblePack, match=words):
            prepare_folder(tmp_path / "bank", other)
    changed = replace(slices[0], read=lambda: water(number=77))
    with pytest.raises(IncompatiblePack, match="is not the one there now"):
        build_noise_bank(tmp_path / "bank", [changed, slices[1]], exposed)
    assert files(tmp_path / "bank") == before


def test_folders_that_are_no_bank_are_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("words")
    (tmp_path / "file").write_text("words")
    for name in ("mine", "file"):
        with pytest.raises(OutputRefused, match="no noise bank"):
            prepare_folder(tmp_path / name, plan([normal(0)]))
    assert files(tmp_path / "mine") == {"thesis.txt": b"words"}
    with pytest.raises(IncompatiblePack, match=r"plan\.json"):
        NoiseBank(tmp_path / "mine")


def test_damaged_banks_are_refused(tmp_path: Path) -> None:
    build(tmp_path / "bank", [normal(0)])
    for name, content in (
        ("96x96.npy", b"\x93NUMPY"),
        ("96x96.npy", b""),
        ("plan.json", b"{}"),
        ("plan.json", b"\xff"),
    ):
        broken = tmp_path / "broken"
        shutil.copytree(tmp_path / "bank", broken)
        (broken / name).write_bytes(content)
        with pytest.raises(IncompatiblePack, match="remove the folder"):
            NoiseBank(broken)["key0"]
        shutil.rmtree(broken)
    short = tmp_path / "bank" / "96x96.npy"
    short.write_bytes(short.read_bytes()[:-1000])
    with pytest.raises(IncompatiblePack, match="cut short"):
        NoiseBank(tmp_path / "bank")["key0"]
    log = tmp_path / "bank" / "built-0.jsonl"
    log.write_text('[]\n7\n{"key": "key0", "scales": [1, 2]}\n{"key": "stranger", "scales": [1]}\nnull\n"')
    assert not NoiseBank(tmp_path / "bank").known("key0")


def test_slices_that_cannot_be_simulated_are_left_out_with_the_reason(tmp_path: Path) -> None:
    def fails() -> np.ndarray:
        raise NotCT("the file has gone")

    nan = water()
    nan[3, 3] = np.nan
    slices = [
        normal(0),
        normal(1, np.full((96, 96), 40, np.float32)),
        normal(2, nan),
        normal(3, read=fails),
        normal(4, read=lambda: water(80)),
        replace(normal(5), pixel_mm=None),
        normal(6, patient=2),
        normal(7, read=lambda: (_ for _ in ()).throw(OSError(5, "Input/output error"))),
    ]

    def rule(items: Sequence[NormalDoseSlice]) -> list[CalibratedSlice]:
        if items[0].patient == 2:
            raise LowDoseError("no noise to measure")
        return exposed(items)

    prepare_folder(tmp_path / "bank", plan(slices))
    build_noise_bank(tmp_path / "bank", slices, rule)
    bank = NoiseBank(tmp_path / "bank")
    assert list(bank.built) == ["key0"]
    words = ("no air around", "NaN", "has gone", r"(80, 80)", "pixel size", "no noise to measure", "Input/output")
    for key, word in zip([f"key{n}" for n in range(1, 8)], words, strict=True):
        assert word in bank.left_out[key]
    build_noise_bank(tmp_path / "bank", slices, lambda _: pytest.fail("tried again"))


def test_a_full_disk_is_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bank_plan.shutil, "disk_usage", lambda _: shutil._ntuple_diskusage(10, 5, 5))
    with pytest.raises(OutputRefused, match="bank_slices"):
        prepare_folder(tmp_path / "bank", plan([normal(0)]))
    assert not list((tmp_path / "bank").iterdir())


def test_bank_says_what_it_is_made_of_and_travels(tmp_path: Path) -> None:
    bank = build(tmp_path / "bank", [normal(0)])
    line = json.loads((tmp_path / "bank" / "built-0.jsonl").read_text().strip())
    assert line["kernel"] == str(SIMULATOR.kernel)
    assert line["scanner"] == repr(SIMULATOR.scanner)
    assert line["exposure"] == EXPOSURE
    sent = pickle.loads(pickle.dumps(bank))
    assert len(pickle.dumps(bank)) < 2000
    np.testing.assert_array_equal(sent["key0"].planes, bank["key0"].planes)
    assert bank["key0"].planes.shape == (1 + 3 * 3, 96, 96)
    np.testing.assert_array_equal(bank["key0"].full(WHOLE), water())
