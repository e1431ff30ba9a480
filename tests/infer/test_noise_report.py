"""What is said about the noise before and after: it is what the arithmetic gives, in words, manifest and DICOM."""

import logging
import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

import lowdose
from lowdose.errors import InvalidSetting
from lowdose.infer.noise_blend import BlendNoise
from lowdose.infer.noise_report import NoiseReport, fit_noise
from lowdose.metrics import NoiseLevel, noise_level
from lowdose.models.noise_retention import NoiseTarget
from lowdose.models.training_domain import SeriesMeasurements
from support.ct_pair import CTPair

QUARTER = "quarter"


def blend(before: float = 400.0, after: float = 25.0, covariance: float = 50.0) -> BlendNoise:
    return BlendNoise(before, after, covariance, [])


def test_the_sd_of_a_blend_is_that_of_its_definition() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(0, 20, 200_000)
    f = 0.125 * x + rng.normal(0, 18.75**0.5, x.size)
    for share in (0.0, 0.3, 0.7, 1.0):
        assert blend().relative_sd(share) == pytest.approx((share * x + (1 - share) * f).std() / x.std(), rel=0.02)


def test_the_share_for_an_sd_gives_that_sd() -> None:
    for wanted in (0.3, 0.5, 0.9):
        assert blend().relative_sd(blend().share_for(wanted)) == pytest.approx(wanted, abs=0.002)
    assert blend().share_for(0.01) == pytest.approx(0.0, abs=0.05)
    assert blend().share_for(2.0) == 1.0


def test_an_sd_that_cannot_be_measured_is_refused() -> None:
    model = lowdose.load_model("gaussian")
    with pytest.raises(InvalidSetting, match=r"--noise-sd 12: .*use --strength"):
        fit_noise(model, SeriesMeasurements(None, None, 0.7, 3.0), NoiseTarget(noise_sd=12.0), None)


def test_coarse_noise_causes_a_warning_and_fine_noise_none() -> None:
    report = NoiseReport(0.25, NoiseLevel(30, 0.3, 0.34), NoiseLevel(15, 0.2, 0.22), None, NoiseTarget(0.25))
    assert re.search(r"falls from 0\.34 to 0\.22 /mm; --texture natural", report.warnings[0])
    assert replace(report, after=NoiseLevel(15, 0.2, 0.25)).warnings == []
    assert report.lines[0] == "dose: 25% of the usual one, as stated"
    assert "noise SD 30 to 15 HU" in report.change
    assert "25% of the input mixed in" in report.change


@pytest.mark.parametrize(
    "options", [{}, {"texture": "natural"}, {"dose": 0.25, "texture": "smooth"}, {"strength": 0.5}]
)
def test_words_manifest_and_headers_agree_with_the_pixels(
    ct_pair: CTPair, tmp_path: Path, caplog: pytest.LogCaptureFixture, options: dict[str, object]
) -> None:
    caplog.set_level(logging.INFO, logger="lowdose")
    result = lowdose.denoise(ct_pair.quarter, tmp_path / "out", **options)  # type: ignore[arg-type]
    noise, before, after = result.manifest["noise"], lowdose.read(ct_pair.quarter), lowdose.read(tmp_path / "out")
    index = len(before.hu) // 2
    pixel = before.geometry.spacing[1]
    for key, volume in (("before", before), ("after", after)):
        level = noise_level(volume.hu[index], np.ones(volume.hu[index].shape, bool), pixel)
        assert level is not None
        # Rounding to whole HU alone moves the mode of the local SD by some percent.
        assert noise[key]["sd"] == pytest.approx(level.sd, rel=0.1)
        assert noise[key]["f_av_2d"] == pytest.approx(level.f_av_2d, rel=0.06)
    kept = result.manifest["noise_kept"]
    assert noise["share"] == pytest.approx(1 - float(options.get("strength", 1.0)) * (1 - kept), abs=1e-4)  # type: ignore[arg-type]
    said = f"noise SD {noise['before']['sd']:.3g} to {noise['after']['sd']:.3g} HU"
    assert said in caplog.text
    header = pydicom.dcmread(next((tmp_path / "out").glob("*.dcm")))
    assert said in header.DerivationDescription
    if "dose" in options:
        assert "dose: 25% of the usual one, as stated" in caplog.text
        assert kept == pytest.approx(0.25)


def test_the_noise_that_was_asked_for_remains(ct_pair: CTPair) -> None:
    wanted = 0.6 * noise_sd(lowdose.read(ct_pair.quarter))
    result = lowdose.denoise(ct_pair.quarter, noise_sd=wanted)
    assert noise_sd(result.volume) == pytest.approx(wanted, rel=0.08)


def noise_sd(volume: lowdose.Volume) -> float:
    middle = volume.hu[len(volume.hu) // 2]
    level = noise_level(middle, np.ones(middle.shape, bool), volume.geometry.spacing[1])
    assert level is not None
    return level.sd


def test_a_model_that_decides_itself_refuses_dose_and_texture(ct_pair: CTPair) -> None:
    for given in ({"dose": 0.5}, {"texture": "smooth"}):
        with pytest.raises(InvalidSetting, match="decides itself how much noise remains"):
            lowdose.denoise(ct_pair.quarter, model="gaussian", **given)  # type: ignore[arg-type]
    wanted = 0.8 * noise_sd(lowdose.read(ct_pair.quarter))
    result = lowdose.denoise(ct_pair.quarter, model="gaussian", noise_sd=wanted)
    assert noise_sd(result.volume) == pytest.approx(wanted, rel=0.1)


def test_a_model_that_decides_itself_has_no_texture_in_its_words(
    ct_pair: CTPair, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="lowdose")
    noise = lowdose.denoise(ct_pair.quarter, model="gaussian").manifest["noise"]
    assert noise["wanted"] == {"dose": None, "noise_sd": None, "texture": None}
    assert noise["before"]["sd"] > noise["after"]["sd"]
    assert "dose, estimated" not in caplog.text


def test_nothing_is_denoised_at_strength_0(ct_pair: CTPair, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise AssertionError("the network ran")

    model = lowdose.load_model("gaussian")
    monkeypatch.setattr("lowdose.infer.noise_blend.denoise_slices", refuse)
    result = lowdose.denoise(ct_pair.quarter, model=model, strength=0.0)
    assert result.manifest["noise"]["share"] == 1
    np.testing.assert_array_equal(result.volume.hu, lowdose.read(ct_pair.quarter).hu)
