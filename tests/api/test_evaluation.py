"""``lowdose.evaluate``: folders, volumes and arrays measured alike; results that can be kept."""

import json
from pathlib import Path

import numpy as np
import pytest

import lowdose
from lowdose import cli
from support.ct_pair import CTPair, shortened
from support.evaluation_cases import by_threshold

SPACING = (3.0, 0.7, 0.7)


def numbers(report: lowdose.EvaluationReport) -> list[dict[str, object]]:
    return [{key: value for key, value in row.items() if key != "image"} for row in report.table()]


@pytest.mark.slow
def test_paths_volumes_and_arrays_give_the_numbers_of_the_command(tmp_path: Path) -> None:
    pair = shortened(tmp_path / "pair", slices=2)
    low, full = lowdose.read(pair.quarter), lowdose.read(pair.full)
    by_path = lowdose.evaluate(pair.quarter, pair.full, model=["gaussian"])
    by_volume = lowdose.evaluate(low, full, model="gaussian")
    by_array = lowdose.evaluate(low.hu, full.hu, model="gaussian", spacing=low.geometry.spacing)
    assert [row["image"] for row in by_path.table()] == ["low dose", "gaussian"]
    assert numbers(by_path) == numbers(by_volume)
    for one, other in zip(numbers(by_path), numbers(by_array), strict=True):
        assert one == pytest.approx(other, rel=1e-6)
    assert (by_path.slices, by_path.series) == (2, 1)
    command = ["evaluate", "--low", str(pair.quarter), "--full", str(pair.full), "--model", "gaussian"]
    assert cli.run([*command, "--out", str(tmp_path / "command")]) == 0
    by_path.save(tmp_path / "function")
    files = {path.name for path in (tmp_path / "function").iterdir()}
    assert files == {path.name for path in (tmp_path / "command").iterdir()}
    assert (tmp_path / "function" / "table.csv").read_text() == (tmp_path / "command" / "table.csv").read_text()
    one, other = (json.loads((tmp_path / n / "summary.json").read_text()) for n in ("function", "command"))
    assert one["summaries"] == other["summaries"]
    assert by_path.to_dict()["summaries"] == one["summaries"]
    assert "gaussian" in by_path._repr_html_()


def test_several_pairs_and_a_loaded_model(tmp_path: Path) -> None:
    one, model = shortened(tmp_path, slices=1), lowdose.load_model("gaussian")
    report = lowdose.evaluate([one.quarter] * 2, [one.full] * 2, model=model)
    assert (report.slices, report.series) == (2, 2)


@pytest.mark.slow
def test_organs_of_a_volume(tmp_path: Path) -> None:
    one = shortened(tmp_path, slices=1)
    report = lowdose.evaluate(lowdose.read(one.quarter), lowdose.read(one.full), task="organs", model="gaussian")
    rows = {row["image"]: row for row in report.table()}
    assert {"low dose", "gaussian"} <= set(rows)
    assert 0.5 < float(rows["low dose"]["liver"]) <= 1.0
    assert float(rows["low dose"]["hd95_mm"]) >= 0.0


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"task": "wonder"}, "--task wonder: choose one of images, organs, lesions, teacher"),
        ({"task": "lesions", "segmenter": "anatomy"}, "--segmenter: is not an option of --task lesions"),
        (
            {"task": "organs", "seed": 1},
            "--seed: is not an option of --task organs; leave it out, or take --task lesions",
        ),
        ({"profile": "mine"}, "--profile mine: choose one of default"),
        ({"segmenter": "anatomy"}, "--segmenter: is not an option of --task images"),
        ({"task": "organs", "profile": "leda"}, "--profile: is not an option of --task organs"),
        ({"window": (100.0, -100.0)}, "the second number must be the larger"),
        ({"autoencoder": "x"}, "needs --words"),
        ({"full": None}, "1 --low and 0 --full"),
        ({"strength": -1.0}, "between 0"),
    ],
)
def test_bad_arguments_name_the_value_and_the_way_out(
    options: dict[str, object], words: str, ct_pair: CTPair, tmp_path: Path
) -> None:
    arguments = {"low": ct_pair.quarter, "full": ct_pair.full, "model": "gaussian", "out": tmp_path / "out", **options}
    with pytest.raises(lowdose.errors.InvalidSetting, match=words):
        lowdose.evaluate(**arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "out").exists()


def test_series_on_other_grids_are_refused() -> None:
    with pytest.raises(lowdose.errors.GeometryMismatch, match="matrix"):
        lowdose.evaluate(np.zeros((1, 64, 64)), np.zeros((1, 64, 96)), spacing=SPACING, model="gaussian")


def test_lesions_in_arrays(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lowdose.networks.segmentation.segment_slice", by_threshold)
    monkeypatch.setattr("lowdose.evaluation.inserted_lesions.EACH", 1)
    liver = np.zeros((1, 64, 64))
    liver[:, 6:58, 6:58] = 100.0
    noise = np.random.default_rng(0).standard_normal(liver.shape)
    report = lowdose.evaluate(
        liver + 12 * noise, liver + 4 * noise, task="lesions", model="gaussian", seed=2, spacing=(3.0, 1.0, 1.0)
    )
    rows = {str(row["image"]): row for row in report.table()}
    assert list(rows) == ["low dose", "gaussian", "full dose"]
    assert float(rows["gaussian"]["contrast_kept"]) < 1.0
    assert "ap50" not in rows["gaussian"]
    assert (report.task, report.slices, report.to_dict()["seed"]) == ("lesions", 1, 2)
    assert "contrast_kept" in report._repr_html_()
