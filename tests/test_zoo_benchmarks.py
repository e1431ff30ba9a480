"""benchmarks/zoo: what its figures are made of, on made-up images with known answers."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from lowdose.image import Geometry
from lowdose.phantom.lesions import KINDS
from lowdose.volume import Volume

ZOO = Path(__file__).resolve().parents[1] / "benchmarks/zoo"
NAMES = (
    "scans",
    "tables",
    "spots",
    "sheet",
    "cases",
    "lesion_tables",
    "lesions",
    "full_dose",
    "blend",
    "contact_sheet",
)


@pytest.fixture(scope="module")
def zoo() -> Iterator[SimpleNamespace]:
    """The scripts as modules; they import each other by bare names, so their folder leads the path for a while."""
    before = {name: sys.modules.pop(name, None) for name in NAMES}
    sys.path.insert(0, str(ZOO))
    try:
        yield SimpleNamespace(**{name: importlib.import_module(name) for name in NAMES})
    finally:
        sys.path.remove(str(ZOO))
        for name, module in before.items():
            sys.modules.pop(name, None)
            if module is not None:
                sys.modules[name] = module


def disc(shape: tuple[int, int], y: float, x: float, radius: float) -> np.ndarray:
    rows, columns = np.indices(shape)
    return np.hypot(rows - y, columns - x) <= radius


@pytest.mark.parametrize("diameter", [5.0, 10.0])
def test_a_disc_of_its_size_responds_with_its_contrast(zoo: SimpleNamespace, diameter: float) -> None:
    image = np.full((96, 96), 60.0)
    image[disc(image.shape, 40, 50, diameter / 2 / 0.5)] -= 30.0
    found = zoo.spots.response(image, diameter, 0.5)[30:66, 30:66]
    assert found.min() == pytest.approx(-30.0)
    assert np.unravel_index(found.argmin(), found.shape) == (10, 20)


def test_an_even_or_sloping_organ_has_no_response(zoo: SimpleNamespace) -> None:
    image = 60.0 + 0.7 * np.arange(96)[:, None] - 0.3 * np.arange(96)
    assert np.abs(zoo.spots.response(image, 10.0, 0.8)[20:-20, 20:-20]).max() < 1e-9


def test_disc_and_ring_of_a_searched_place_lie_in_the_organ(zoo: SimpleNamespace) -> None:
    organ = disc((96, 96), 48, 48, 30)
    where = zoo.spots.searched(organ, 10.0, 0.8)
    assert where.any()
    image = np.where(organ, 0.0, 1e6)
    assert np.abs(zoo.spots.response(image, 10.0, 0.8)[where]).max() < 1e-6


def test_kept_is_the_share_of_the_core(zoo: SimpleNamespace) -> None:
    kind = zoo.spots.Kind("liver", "metastasis", 10.0, -20.0, "-20 HU")
    spot = zoo.spots.Spot(kind, 30, 34, 0)
    core = zoo.spots.core(spot, (64, 64), 0.5)
    assert np.array_equal(core, disc((64, 64), 30, 34, 6.0))
    true = np.where(disc((64, 64), 30, 34, 10), -20.0 - np.arange(64), 0.0)
    assert zoo.spots.kept(0.7 * true + np.where(core, 0, 99), true, core) == pytest.approx(0.7)
    tiny = zoo.spots.core(spot._replace(kind=kind._replace(diameter_mm=1.0)), (64, 64), 1.0)
    assert tiny.sum() == 5


def test_noise_around_is_that_of_the_ring_in_the_organ(zoo: SimpleNamespace) -> None:
    rng = np.random.default_rng(0)
    image = rng.normal(60, 12, (128, 128)).astype(np.float32)
    organ = disc(image.shape, 64, 64, 40)
    image[~organ] = -1000
    image[disc(image.shape, 64, 64, 5)] = 400
    kind = zoo.spots.Kind("liver", "metastasis", 10.0, -20.0, "-20 HU")
    assert zoo.spots.noise_around(image, zoo.spots.Spot(kind, 64, 64, 0), organ, 1.0) == pytest.approx(12, rel=0.15)


def test_places_are_apart_and_inside(zoo: SimpleNamespace) -> None:
    room = {"liver": disc((256, 256), 120, 70, 66), "lung": disc((256, 256), 120, 200, 50)}
    planned = zoo.spots.places(room, 0.8, np.random.default_rng(3))
    assert {spot.kind for spot in planned} == set(zoo.spots.KINDS)
    for n, spot in enumerate(planned):
        radius = spot.kind.diameter_mm / 2
        assert (room[spot.kind.organ] | ~disc((256, 256), spot.y, spot.x, (radius + 1) / 0.8)).all()
        for other in planned[:n]:
            if other.kind.organ == spot.kind.organ:
                gap = 0.8 * np.hypot(spot.y - other.y, spot.x - other.x) - radius - other.kind.diameter_mm / 2
                assert gap > zoo.spots.APART_MM
    assert zoo.spots.places({"liver": disc((64, 64), 30, 30, 3)}, 0.8, np.random.default_rng(3)) == []
    assert {kind.shape for kind in zoo.spots.KINDS} <= set(KINDS)


def test_room_leaves_vessels_out(zoo: SimpleNamespace) -> None:
    organ, vessel = disc((128, 128), 64, 64, 50), disc((128, 128), 64, 40, 8)
    hu = np.where(vessel, 160.0, 60.0) + np.random.default_rng(0).normal(0, 20, organ.shape)
    room = zoo.spots.free(hu, organ, "liver", 0.8)
    assert not room[vessel].any()
    assert room[disc(organ.shape, 64, 80, 20)].mean() > 0.95


def test_lesions_have_their_contrast(zoo: SimpleNamespace) -> None:
    volume = Volume(np.full((1, 128, 128), 60, np.float32), Geometry((3.0, 0.7, 0.7)))
    kind = zoo.spots.Kind("liver", "metastasis", 15.0, -30.0, "-30 HU")
    planned = [zoo.spots.Spot(kind, 40, 40, 1), zoo.spots.Spot(kind, 90, 80, 2)]
    added = zoo.cases.with_lesions(volume, planned) - volume.hu[0]
    for spot in planned:
        assert added[zoo.spots.core(spot, added.shape, 0.7)].mean() == pytest.approx(-30, abs=1.5)
    assert np.count_nonzero(added) < 2500


def test_false_blobs_are_told(zoo: SimpleNamespace) -> None:
    """A spot that only the denoised image has is a rise, and off the truth, by its contrast; smoothing has neither."""
    rng, shape = np.random.default_rng(1), (160, 160)
    organ = disc(shape, 80, 80, 60)
    truth = np.full(shape, 60, np.float32)
    full, low = (truth + rng.normal(0, sd, shape).astype(np.float32) for sd in (2, 4))
    case = zoo.cases.Case("real", "a", "p", (1.0, 1.0), {"liver": organ}, full, low, truth, lambda planned: truth)
    smooth = gaussian_filter(low, 2)
    images = {"full dose": full, "quarter dose": low, "honest": smooth}
    images["inventive"] = smooth + np.where(disc(shape, 70, 90, 5), 25, 0)
    rows = {(row["image"], row["disc_mm"]): row for row in zoo.lesions.of_liver(case, images)}
    assert set(rows) == {(image, disc_mm) for image in images for disc_mm in (5.0, 10.0)}
    assert rows["inventive", 10.0]["rise"] == pytest.approx(25, abs=2)
    assert rows["inventive", 10.0]["error"] == pytest.approx(25, abs=2)
    assert rows["honest", 10.0]["rise"] < 1
    assert rows["honest", 10.0]["largest"] < rows["quarter dose", 10.0]["largest"]


def test_the_order_of_slices(zoo: SimpleNamespace) -> None:
    for count in (1, 2, 7, 18, 95):
        assert sorted(zoo.scans.spread(count)) == list(range(count))
    assert zoo.scans.spread(8)[:4] == [4, 0, 6, 2]


def test_patients_take_turns(zoo: SimpleNamespace) -> None:
    def series(name: str, patient: int, count: int) -> object:
        return zoo.scans.Found(SimpleNamespace(planes=[None] * count), patient, name)

    found = [series("a", 1, 3), series("b", 2, 1), series("c", 1, 2)]
    order = [(item.name, index) for item, index in zoo.scans.in_turn(found)]
    assert [name for name, _ in order] == ["a", "b", "c", "a", "c", "a"]
    assert len(set(order)) == 6


def test_share_of_what_is_taken_out_at_quarter_dose(zoo: SimpleNamespace) -> None:
    base = {"set": "s", "slice": "a", "image": "m", "noise": 20.0}
    rows = [base | {"dose": 0.25, "removed": 16.0}, base | {"dose": 1.0, "removed": 4.0, "noise": 10.0}]
    done = zoo.full_dose.against_quarter([*rows, base | {"slice": "b", "dose": 1.0, "removed": 1.0}])
    assert [row["share"] for row in done] == [1.0, 0.25, None]
    assert done[1]["noise_share"] == 0.5


def test_best_strength(zoo: SimpleNamespace) -> None:
    assert zoo.blend.STRENGTHS[0] == 0.3
    assert zoo.blend.STRENGTHS[-1] == 1.0
    assert len(zoo.blend.STRENGTHS) == 15
    assert zoo.blend.best_strength({0.3: [20, 30], 0.6: [26, 26], 1.0: [26, 26]}) == 1.0
    assert zoo.blend.best_strength({0.3: [20, 33], 1.0: [26, 26]}) == 0.3


def test_difference_window_and_cut(zoo: SimpleNamespace) -> None:
    window = zoo.sheet.enhanced(zoo.sheet.SOFT)
    assert (window.low, window.high) == (-40.0, 40.0)
    hu = np.full((100, 120), -1000, np.float32)
    hu[30:60, 40:90] = 40
    hu[40:50, 55:70] = -850
    assert zoo.sheet.body(hu)[45, 60]
    rows, columns = zoo.sheet.cut(hu)
    assert abs(rows.start - 22) <= 1
    assert abs(columns.stop - 98) <= 1
    empty = zoo.sheet.cut(np.full((20, 20), -1000, np.float32))
    assert empty == (slice(0, 20), slice(0, 20))


def test_sheet_is_drawn(zoo: SimpleNamespace, tmp_path: Path) -> None:
    hu = np.full((64, 64), 40, np.float32)
    strips = [zoo.sheet.Strip("a series\nof a maker", hu, hu + 1, window, 1.0) for window in (zoo.sheet.SOFT,) * 3]
    zoo.sheet.draw(strips, "model", tmp_path / "sheet.png")
    assert (tmp_path / "sheet.png").read_bytes().startswith(b"\x89PNG")


def test_worst_tissue(zoo: SimpleNamespace) -> None:
    sheet: ModuleType = zoo.contact_sheet
    assert sheet.worst({"change": {"fat": 0.4, "bone": -1.25}}) == "bone -1.25 HU"
    assert sheet.worst({"change": {}}) == "no tissue to measure"


def test_tables(zoo: SimpleNamespace) -> None:
    assert zoo.tables.table(["a", "b"], [["1", "2"]]) == "| a | b |\n| --- | --- |\n| 1 | 2 |"
    rows = [{"slice": s, "patient": p, "x": x} for s, p, x in (("a", 1, 1.0), ("b", 1, 3.0), ("c", 2, None))]
    assert zoo.tables.counted(rows) == "3 slices of 2 patients"
    assert zoo.tables.mean(rows, "x").mean == 2.0
    assert zoo.tables.mean(rows, "y") is None
    assert zoo.tables.cell(None, 2) == "–"
