"""Tests of experiments/zoo on synthetic images with known answers."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from experiments.common import markdown
from experiments.furnace import ship
from experiments.zoo import (
    average_weights,
    blend,
    contact_sheet,
    contact_sheet_figure,
    full_dose,
    lesion_measures,
    lesion_slices,
    lesions,
    scans,
    tables,
)
from scipy.ndimage import gaussian_filter

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE
from lowdose.models.checkpoint import TrainingDomain, load_denoiser, save_denoiser
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.phantom.lesion_kinds import LesionKind
from lowdose.phantom.lesions import KINDS
from lowdose.phantom.slice_lesions import PlannedSliceLesion


def disc(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.hypot(rows - y, columns - x) <= radius


@pytest.mark.parametrize("diameter", [5.0, 10.0])
def test_a_disc_of_its_size_responds_with_its_contrast(diameter: float) -> None:
    image = np.full((96, 96), 60.0)
    image[disc(image.shape, 40, 50, diameter / 2 / 0.5)] -= 30.0
    found = lesion_measures.disc_response(image, diameter, 0.5)[30:66, 30:66]
    assert found.min() == pytest.approx(-30.0)
    assert np.unravel_index(found.argmin(), found.shape) == (10, 20)


def test_an_even_or_sloping_organ_has_no_response() -> None:
    image = 60.0 + 0.7 * np.arange(96)[:, None] - 0.3 * np.arange(96)
    assert np.abs(lesion_measures.disc_response(image, 10.0, 0.8)[20:-20, 20:-20]).max() < 1e-9


def test_disc_and_ring_of_a_searched_place_lie_in_the_organ() -> None:
    organ = disc((96, 96), 48, 48, 30)
    where = lesion_measures.search_area(organ, 10.0, 0.8)
    assert where.any()
    image = np.where(organ, 0.0, 1e6)
    assert np.abs(lesion_measures.disc_response(image, 10.0, 0.8)[where]).max() < 1e-6


def test_the_core_of_a_lesion_is_three_fifths_of_its_radius() -> None:
    spot = PlannedSliceLesion(LesionKind("liver", "metastasis", 10.0, -20.0), 30, 34, 0)
    assert np.array_equal(lesion_measures.core(spot, (64, 64), 0.5), disc((64, 64), 30, 34, 6.0))


def test_noise_around_is_that_of_the_ring_in_the_organ() -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(60, 12, (128, 128)).astype(np.float32)
    organ = disc(image.shape, 64, 64, 40)
    image[~organ] = -1000
    image[disc(image.shape, 64, 64, 5)] = 400
    kind = LesionKind("liver", "metastasis", 10.0, -20.0)
    assert lesion_measures.noise_around(image, PlannedSliceLesion(kind, 64, 64, 0), organ, 1.0) == pytest.approx(
        12, rel=0.15
    )


def test_measured_kinds_have_known_shapes_and_distinct_names() -> None:
    assert {kind.shape for kind in lesion_measures.KINDS} <= set(KINDS)
    named = {(kind.organ, kind.diameter_mm, lesion_measures.contrast_text(kind)) for kind in lesion_measures.KINDS}
    assert len(named) == len(lesion_measures.KINDS) == 20
    assert {text for _, _, text in named} == {
        "-20 HU", "-30 HU", "-40 HU", "solid, 25 HU", "ground glass, +250 HU"
    }  # fmt: skip


def test_false_lesions_are_found() -> None:
    """A spot that only the denoised image has raises response and error by its contrast; smoothing does not."""
    rng, shape = np.random.default_rng(1), (160, 160)
    organ = disc(shape, 80, 80, 60)
    truth = np.full(shape, 60, np.float32)
    full, low = (truth + rng.normal(0, sd, shape).astype(np.float32) for sd in (2, 4))
    case = lesion_slices.LesionSlice(
        "real", "a", "p", (1.0, 1.0), {"liver": organ}, full, low, truth, lambda planned: truth
    )
    smooth = gaussian_filter(low, 2)
    images = {"full dose": full, "quarter dose": low, "honest": smooth}
    images["inventive"] = smooth + np.where(disc(shape, 70, 90, 5), 25, 0)
    rows = {(row["image"], row["disc_mm"]): row for row in lesions.blob_rows(case, images)}
    assert set(rows) == {(image, disc_mm) for image in images for disc_mm in (5.0, 10.0)}
    assert rows["inventive", 10.0]["rise"] == pytest.approx(25, abs=2)
    assert rows["inventive", 10.0]["error"] == pytest.approx(25, abs=2)
    assert rows["honest", 10.0]["rise"] < 1
    assert rows["honest", 10.0]["largest"] < rows["quarter dose", 10.0]["largest"]


def test_the_order_of_slices() -> None:
    for count in (1, 2, 7, 18, 95):
        assert sorted(scans.spread_indices(count)) == list(range(count))
    assert scans.spread_indices(8)[:4] == [4, 0, 6, 2]


def test_patients_take_turns() -> None:
    def series(name: str, patient: int, count: int) -> object:
        return scans.PatientSeries(SimpleNamespace(planes=[None] * count), patient, name)

    found = [series("a", 1, 3), series("b", 2, 1), series("c", 1, 2)]
    order = [(item.name, index) for item, index in scans.patients_in_turn(found)]
    assert [name for name, _ in order] == ["a", "b", "c", "a", "c", "a"]
    assert len(set(order)) == 6


def test_removal_relative_to_quarter_dose() -> None:
    base = {"set": "s", "slice": "a", "image": "m", "noise": 20.0}
    rows = [base | {"dose": 0.25, "removed": 16.0}, base | {"dose": 1.0, "removed": 4.0, "noise": 10.0}]
    done = full_dose.relative_to_quarter_dose([*rows, base | {"slice": "b", "dose": 1.0, "removed": 1.0}])
    assert [row["share"] for row in done] == [1.0, 0.25, None]
    assert done[1]["noise_share"] == 0.5


def test_best_strength() -> None:
    assert blend.STRENGTHS[0] == 0.3
    assert blend.STRENGTHS[-1] == 1.0
    assert len(blend.STRENGTHS) == 15
    assert blend.best_strength({0.3: [20, 30], 0.6: [26, 26], 1.0: [26, 26]}) == 1.0
    assert blend.best_strength({0.3: [20, 33], 1.0: [26, 26]}) == 0.3


def test_difference_window_and_cut() -> None:
    window = contact_sheet_figure.difference_window(contact_sheet_figure.SOFT)
    assert (window.low, window.high) == (-40.0, 40.0)
    hu = np.full((100, 120), -1000, np.float32)
    hu[30:60, 40:90] = 40
    hu[40:50, 55:70] = -850
    assert contact_sheet_figure.body(hu)[45, 60]
    rows, columns = contact_sheet_figure.body_box(hu)
    assert abs(rows.start - 22) <= 1
    assert abs(columns.stop - 98) <= 1
    empty = contact_sheet_figure.body_box(np.full((20, 20), -1000, np.float32))
    assert empty == (slice(0, 20), slice(0, 20))


def test_contact_sheet_is_drawn(tmp_path: Path) -> None:
    hu = np.full((64, 64), 40, np.float32)
    strips = [
        contact_sheet_figure.Strip("a series\nof a maker", hu, hu + 1, window, 1.0)
        for window in (contact_sheet_figure.SOFT,) * 3
    ]
    contact_sheet_figure.draw(strips, "model", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_most_changed_tissue() -> None:
    assert contact_sheet.most_changed_tissue({"change": {"fat": 0.4, "bone": -1.25}}) == "bone -1.25 HU"
    assert contact_sheet.most_changed_tissue({"change": {}}) == "no tissue to measure"


def test_tables() -> None:
    assert markdown.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    rows = [{"slice": s, "patient": p, "x": x} for s, p, x in (("a", 1, 1.0), ("b", 1, 3.0), ("c", 2, None))]
    assert tables.count_text(rows) == "3 slices of 2 patients"
    assert tables.column_mean(rows, "x").mean == 2.0
    assert tables.column_mean(rows, "y") is None
    assert markdown.summary_cell(None, 2) == "–"


def test_averaged_weights_lie_between_and_keep_the_first_ones_range(tmp_path: Path) -> None:
    files = []
    for number, name in enumerate(("plain", "tuned")):
        torch.manual_seed(number)
        denoiser = Denoiser(NetworkSpec("red_cnn", {"channels": 4}), OBJECTIVE)
        files.append(tmp_path / f"{name}.safetensors")
        save_denoiser(files[-1], denoiser, TrainingDomain(noise_sd=(1.0, 10.0 + number)), {"steps": number})
    out = tmp_path / "out.safetensors"
    average_weights.average_weights(*map(str, files), 0.25, out)
    first, second, mixed = (load_denoiser(str(file)) for file in (*files, out))
    for name, value in mixed.denoiser.network.state_dict().items():
        a, b = (each.denoiser.network.state_dict()[name] for each in (first, second))
        torch.testing.assert_close(value, 0.75 * a + 0.25 * b)
    assert mixed.domain == first.domain
    assert mixed.training["average"] == {"of": [first.sha256, second.sha256], "share": 0.25}
    with pytest.raises(InvalidSetting, match="two of one network"):
        average_weights.average_weights(str(out), "fast", 0.5, tmp_path / "no")


@pytest.mark.parametrize(("psnr", "lesions", "better"), [(4.41, 0.80, True), (4.36, 0.86, True), (4.36, 0.82, False),
                                                         (4.34, 0.95, False)])  # fmt: skip
def test_weights_ship_for_psnr_or_for_lesions(psnr: float, lesions: float, better: bool) -> None:
    old = {"psnr_gain": 4.4, "ssim_gain": 0.05, "tissue_bias": 0.2, "lesion_5mm": 0.81}
    assert ship.is_better(old | {"psnr_gain": psnr, "lesion_5mm": lesions}, old) == better
