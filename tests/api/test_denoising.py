"""``lowdose.denoise``: paths, volumes and arrays in; volumes and the very files of the command line out."""

import itertools
import json
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path

import numpy as np
import pydicom
import pytest

import lowdose
from lowdose import cli
from lowdose.io.dicom import derivation, derived
from support.ct_pair import CTPair

SPACING = (3.0, 0.7, 0.7)


@pytest.fixture
def fixed_identity(monkeypatch: pytest.MonkeyPatch) -> None:
    """UIDs that count up from 1 in every run that asks for them, and a clock that stands still."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: object = None) -> datetime:
            return cls(2026, 1, 2, 3, 4, 5)

    with_fresh_uids(monkeypatch)
    monkeypatch.setattr(derived, "datetime", Clock)


def with_fresh_uids(monkeypatch: pytest.MonkeyPatch) -> None:
    counter = itertools.count()
    monkeypatch.setattr(derivation, "generate_uid", lambda prefix: f"1.2.3.{next(counter)}")


def files_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def phantom(slices: int = 2, side: int = 64) -> np.ndarray:
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:side, :side] - side / 2
    body = np.where(np.hypot(y, x) < side / 3, 40.0, -1000.0)
    return (body + 20 * rng.standard_normal((slices, side, side))).astype(np.float32)


def readme_snippet() -> str:
    text = (Path(__file__).parents[2] / "README.md").read_text(encoding="utf-8")
    block = next(code for code in re.findall(r"```python\n(.*?)```", text, re.S) if "lowdose.denoise" in code)
    return block.split("# and more")[0]


def test_the_snippet_of_the_readme_is_the_command_to_the_byte(
    short_pair: CTPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fixed_identity: None
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "SERIES").symlink_to(short_pair.quarter)
    exec(readme_snippet(), {})
    with_fresh_uids(monkeypatch)
    assert cli.run(["denoise", "SERIES", "--out", "BY_COMMAND"]) == 0
    by_snippet, by_command = files_of(tmp_path / "OUT"), files_of(tmp_path / "BY_COMMAND")
    assert len(by_command) == 3
    assert by_snippet == by_command


def test_every_way_gives_the_same_bytes(
    short_pair: CTPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fixed_identity: None
) -> None:
    series, options = short_pair.quarter, {"model": "fast", "device": "cpu"}
    ways: dict[str, Callable[[Path], object]] = {
        "reference": lambda out: lowdose.denoise(series, out, **options),
        "in memory": lambda out: lowdose.denoise(series, **options).save(out),
        "streamed": lambda out: lowdose.denoise(series, out, **options, jobs=2),
        "a volume": lambda out: lowdose.denoise(lowdose.read(series), **options).save(out),
        "a loaded model": lambda out: lowdose.denoise(series, out, model=lowdose.load_model("fast", device="cpu")),
    }
    for way, denoise in ways.items():
        with_fresh_uids(monkeypatch)
        denoise(tmp_path / way)
        assert files_of(tmp_path / way) == files_of(tmp_path / "reference"), way


def test_a_result_has_a_volume_a_manifest_and_a_picture(ct_pair: CTPair) -> None:
    result = lowdose.denoise(ct_pair.quarter, model="gaussian")
    noisy = lowdose.read(ct_pair.quarter)
    assert result.volume.hu.shape == noisy.hu.shape
    assert result.volume.geometry == noisy.geometry
    before, after = (
        lowdose.metrics.noise_level(volume.hu[3], np.ones((256, 256), bool), volume.geometry.pixel_mm)
        for volume in (noisy, result.volume)
    )
    assert before is not None
    assert after is not None
    assert after.sd < 0.8 * before.sd
    manifest = result.to_dict()
    assert manifest["slices"] == result.slices == 6
    assert json.loads(json.dumps(manifest)) == manifest
    page = result._repr_html_()
    assert "data:image/png;base64" in page
    assert "6 slices denoised by gaussian" in page


def test_preview_and_manifest_go_with_the_series(short_pair: CTPair, tmp_path: Path) -> None:
    result = lowdose.denoise(short_pair.quarter, model="gaussian")
    result.save(tmp_path / "later", preview=True, manifest=True)
    lowdose.denoise(short_pair.quarter, tmp_path / "at once", model="gaussian", preview=True, manifest=True)
    assert files_of(tmp_path / "later").keys() == files_of(tmp_path / "at once").keys()
    assert (tmp_path / "later" / "preview.png").read_bytes() == (tmp_path / "at once" / "preview.png").read_bytes()


@pytest.mark.parametrize("name", ["out.npz", "out.npy", "out.nii", "out.nii.gz", "out"])
def test_an_array_becomes_any_kind_of_file(name: str, tmp_path: Path) -> None:
    result = lowdose.denoise(phantom(), spacing=SPACING, model="gaussian")
    out = result.save(tmp_path / name, preview=True, manifest=True)
    back = lowdose.read(out) if name != "out.npy" else lowdose.read(np.load(out), spacing=SPACING)
    assert np.abs(back.hu - result.volume.hu).max() <= (0.5 if name == "out" else 1e-3)
    np.testing.assert_allclose(back.geometry.spacing, SPACING, rtol=1e-5)
    beside = {path.name for path in (out if out.is_dir() else tmp_path).iterdir()}
    assert {"manifest.json", "preview.png"} <= beside or {"out.json", "out.preview.png"} <= beside


def test_out_of_an_array_is_written_at_once(tmp_path: Path) -> None:
    result = lowdose.denoise(phantom(), tmp_path / "a.npz", spacing=SPACING, model="gaussian", manifest=True)
    assert np.array_equal(np.load(tmp_path / "a.npz")["hu"], result.volume.hu)
    assert json.loads((tmp_path / "a.json").read_text())["slices"] == 2


def test_an_edited_volume_is_denoised_and_saved_as_a_derived_series(ct_pair: CTPair, tmp_path: Path) -> None:
    volume = lowdose.read(ct_pair.quarter)
    edited = volume.with_hu(np.where(volume.hu > -500, volume.hu + 10, volume.hu).astype(np.float32))
    result = lowdose.denoise(edited, model="gaussian", strength=0.0)
    assert np.array_equal(result.volume.hu, edited.hu)
    result.save(tmp_path / "out")
    back = lowdose.read(tmp_path / "out")
    assert np.abs(back.hu - edited.hu)[volume.valid].max() <= 0.5
    image = pydicom.dcmread(next((tmp_path / "out").iterdir()))
    source = pydicom.dcmread(next(ct_pair.quarter.iterdir()))
    assert image.StudyInstanceUID == source.StudyInstanceUID
    assert image.ImageType[0] == "DERIVED"


def test_a_volume_of_another_kind_of_file_is_written_as_that(ct_pair: CTPair, tmp_path: Path) -> None:
    result = lowdose.denoise(ct_pair.quarter, model="gaussian")
    out = result.save(tmp_path / "out.nii.gz")
    assert np.abs(lowdose.read(out).hu - result.volume.hu).max() < 1e-3


def test_progress_is_reported(ct_pair: CTPair) -> None:
    seen: list[tuple[int, int]] = []
    lowdose.denoise(ct_pair.quarter, model="gaussian", progress=lambda done, total: seen.append((done, total)))
    assert seen == [(done, 6) for done in range(1, 7)]


@pytest.mark.parametrize(
    ("source", "options", "error", "words"),
    [
        (phantom(), {}, "GeometryMismatch", r"without a spacing: give spacing=\(z, y, x\)"),
        (phantom(), {"spacing": (1.0,)}, "GeometryMismatch", "three numbers"),
        (phantom(), {"spacing": (3.0, 0.0, 0.7)}, "GeometryMismatch", "must be positive"),
        (np.zeros((2, 2, 2, 2)), {"spacing": SPACING}, "GeometryMismatch", "shape"),
        (np.full((2, 64, 64), np.nan), {"spacing": SPACING}, "NotCT", "NaN"),
        (np.zeros((2, 64, 64), complex), {"spacing": SPACING}, "NotCT", "complex"),
        ("nowhere", {}, "NothingToRead", "nowhere"),
        ("nowhere", {"spacing": SPACING}, "InvalidSetting", "states its own"),
        (phantom(), {"spacing": SPACING, "series": "1.2"}, "InvalidSetting", "leave it out"),
        (phantom(), {"spacing": SPACING, "model": "wonder"}, "IncompatibleCheckpoint", "no model 'wonder'"),
        (phantom(), {"spacing": SPACING, "strength": 2.0}, "InvalidSetting", "between 0"),
        (phantom(), {"spacing": SPACING, "device": "tpu"}, "InvalidSetting", "auto, cpu or cuda"),
        (phantom(), {"spacing": SPACING, "accuracy": "half"}, "InvalidSetting", "exact, fast"),
        (phantom(), {"spacing": SPACING, "engine": "steam"}, "InvalidSetting", "winograd"),
        (phantom(), {"spacing": SPACING, "jobs": 0}, "InvalidSetting", "--jobs 0"),
        (phantom(), {"spacing": SPACING, "autoencoder": "x"}, "InvalidSetting", "needs --explain"),
    ],
)
def test_bad_arguments_name_the_value_and_the_way_out(
    source: object, options: dict[str, object], error: str, words: str
) -> None:
    with pytest.raises(getattr(lowdose.errors, error), match=words):
        lowdose.denoise(source, **{"model": "gaussian", **options})  # type: ignore[arg-type]


def test_an_output_that_exists_is_refused_before_any_work(short_pair: CTPair, tmp_path: Path) -> None:
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "file").write_text("mine")
    with pytest.raises(lowdose.errors.OutputRefused, match="not empty"):
        lowdose.denoise(short_pair.quarter, tmp_path / "taken", model="gaussian")
    result = lowdose.denoise(short_pair.quarter, tmp_path / "out", model="gaussian")
    with pytest.raises(lowdose.errors.OutputRefused, match="written to"):
        result.save(tmp_path / "again")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "taken"]


def test_what_a_prompt_prints_is_short_and_holds_no_uid(short_pair: CTPair) -> None:
    volume = lowdose.read(short_pair.quarter)
    uid = str(volume.origin.uids["series"])
    assert repr(volume) == "Volume(3 slices of 256 x 256 pixels, 3 x 1.7 x 1.7 mm (z, y, x))"
    for result in (
        lowdose.denoise(volume, model="gaussian"),
        lowdose.evaluate(short_pair.quarter, short_pair.full, model="gaussian"),
        lowdose.simulate_dose(min(short_pair.quarter.iterdir()), dose=0.5, kernel="b30", mas=100.0),
        lowdose.explain(volume, slices=1),
    ):
        assert uid not in repr(result)
        assert len(repr(result)) < 600


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"strength": "0.5"}, "--strength '0.5': must be a number, not a str"),
        ({"jobs": 1.5}, "--jobs 1.5: must be a whole number"),
        ({"explain_slices": "a"}, "--explain-slices 'a': must be a whole number"),
    ],
)
def test_values_of_another_type_are_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(lowdose.errors.InvalidSetting, match=re.escape(told)):
        lowdose.denoise(phantom(), spacing=SPACING, model="gaussian", **options)  # type: ignore[arg-type]


def test_a_taken_name_is_refused_before_the_work_and_nothing_is_left(tmp_path: Path) -> None:
    def progress(done: int, total: int) -> None:
        raise AssertionError("the work began")

    (tmp_path / "taken.npy").touch()
    (tmp_path / "new.json").touch()
    for name in ("taken.npy", "new.npy", "scan.dcm"):
        with pytest.raises(lowdose.errors.OutputRefused, match=name.replace("new.npy", "new.json")):
            lowdose.denoise(
                phantom(), tmp_path / name, spacing=SPACING, model="gaussian", manifest=True, progress=progress
            )
    result = lowdose.denoise(phantom(), spacing=SPACING, model="gaussian")
    with pytest.raises(lowdose.errors.OutputRefused, match=r"new.json"):
        result.save(tmp_path / "new.npy", manifest=True)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["new.json", "taken.npy"]


def test_a_denoised_volume_says_so_in_its_headers(short_pair: CTPair, tmp_path: Path) -> None:
    result = lowdose.denoise(short_pair.quarter, model="gaussian")
    result.save(tmp_path / "result")
    result.volume.save(tmp_path / "volume")
    one, other = (pydicom.dcmread(min((tmp_path / name).iterdir())) for name in ("result", "volume"))
    assert one.SeriesDescription == other.SeriesDescription
    assert one.DerivationDescription == other.DerivationDescription


def test_an_array_written_at_once_knows_its_place(tmp_path: Path) -> None:
    result = lowdose.denoise(phantom(), tmp_path / "out.nii.gz", spacing=SPACING, model="gaussian")
    assert result.path == tmp_path / "out.nii.gz"
