"""``lowdose.simulate_dose``, ``simulate_phantom`` and ``explain``: the same as the commands, in memory too."""

import json
from pathlib import Path

import numpy as np
import pytest

import lowdose
from lowdose import cli
from support import tiny_word_autoencoder
from support.ct_pair import CTPair, shortened

OPTIONS = {"dose": 0.25, "seed": 7, "kernel": "b30", "mas": 100.0}


@pytest.mark.slow
def test_simulated_noise_is_that_of_the_command_for_a_series_and_for_its_volume(tmp_path: Path) -> None:
    full = shortened(tmp_path / "pair", slices=2).full
    result = lowdose.simulate_dose(full, **OPTIONS)
    by_volume = lowdose.simulate_dose(lowdose.read(full), **OPTIONS)
    assert np.array_equal(result.volume.hu, by_volume.volume.hu)
    command = ["simulate", str(full), "--out", str(tmp_path / "out"), "--dose", "0.25", "--seed", "7"]
    assert cli.run([*command, "--kernel", "b30", "--mas", "100"]) == 0
    by_command = lowdose.read(tmp_path / "out")
    assert np.abs(by_command.hu - result.volume.hu).max() <= 0.5
    assert result.to_dict()["dose"] == 0.25
    assert "25% of the dose" in result._repr_html_()
    saved = lowdose.read(result.save(tmp_path / "saved"))
    assert np.array_equal(saved.hu, by_command.hu)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"dose": 0.0}, "dose 0: must be from 0.001 to 1"),
        ({"dose": 1.5}, "dose 1.5"),
        ({"dose": 1e-12}, "dose 1e-12"),
        ({"mas": 1e-30}, "--mas 1e-30: must be from 0.1 to 10000 mAs"),
        ({"pixel": 1e9}, "--pixel 1e"),
        ({"seed": -1}, "seed -1"),
        ({"z_correlation": 0.9}, "between 0 and 0.7"),
        ({"kernel": "b31"}, "kernel 'b31'"),
        ({"device": "tpu"}, "auto, cpu or cuda"),
    ],
)
def test_impossible_numbers(options: dict[str, object], words: str, ct_pair: CTPair) -> None:
    with pytest.raises(lowdose.errors.InvalidSetting, match=words):
        lowdose.simulate_dose(ct_pair.full, **{**OPTIONS, **options})  # type: ignore[arg-type]


def test_an_unknown_phantom_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(lowdose.errors.InvalidSetting, match="phantom 'head': must be one of"):
        lowdose.simulate_phantom("head", tmp_path / "out", dose=0.25)
    assert list(tmp_path.iterdir()) == []


def test_explained_series_can_be_kept(ct_pair: CTPair, tmp_path: Path) -> None:
    autoencoder = tiny_word_autoencoder.write(tmp_path / "words.safetensors")
    result = lowdose.explain(ct_pair.quarter, autoencoder=autoencoder, slices=2)
    assert len(result.explanations) == 2
    assert result.slices == 6
    assert result.lines()
    assert json.loads(json.dumps(result.to_dict()))["slices"] == 6
    assert "data:image/png;base64" in result._repr_html_()
    result.save(tmp_path / "later")
    arguments = ["explain", str(ct_pair.quarter), "--autoencoder", str(autoencoder), "--slices", "2"]
    assert cli.run([*arguments, "--out", str(tmp_path / "command")]) == 0
    for path in (tmp_path / "command").iterdir():
        assert (tmp_path / "later" / path.name).read_bytes() == path.read_bytes()


def test_words_before_and_after_go_with_a_denoised_series(short_pair: CTPair, tmp_path: Path) -> None:
    autoencoder = tiny_word_autoencoder.write(tmp_path / "words.safetensors")
    result = lowdose.denoise(
        short_pair.quarter, model="gaussian", explain=True, autoencoder=autoencoder, explain_slices=2
    )
    out = result.save(tmp_path / "out")
    assert {"words.json", "words.png", "words.html"} <= {path.name for path in out.iterdir()}
