"""``lowdose.train``: on folders and on volumes; the run can be loaded, shown and described."""

from pathlib import Path

import numpy as np
import pytest

import lowdose
from support.ct_pair import CTPair

QUICK = {"steps": 2, "batch": 1, "patch": 32, "warmup": 1, "perceptual_weight": 0, "validation_patients": 0}
NETWORK = "red_cnn:channels=4"


def test_trains_on_folders_and_denoises(ct_pair: CTPair, tmp_path: Path) -> None:
    seen: list[tuple[int, int]] = []
    run = lowdose.train(
        "perceptual", tmp_path / "run", data=ct_pair.full.parent, set=QUICK, network=NETWORK, device="cpu",
        progress=lambda step, steps, loss, left: seen.append((step, steps)),
    )  # fmt: skip
    assert run.complete
    assert seen[-1] == (2, 2)
    assert run.to_dict()["settings"]["steps"] == 2
    assert {row["name"] for row in run.log()} >= {"denoiser/mse"}
    assert "denoiser/mse" in run._repr_html_()
    assert lowdose.denoise(ct_pair.quarter, model=run.load(device="cpu", engine="torch")).slices == 6
    assert run.save(tmp_path / "mine.safetensors").read_bytes() == run.weights.read_bytes()


def test_trains_on_pairs_of_volumes(ct_pair: CTPair, tmp_path: Path) -> None:
    pair = (lowdose.read(ct_pair.quarter), lowdose.read(ct_pair.full))
    settings = [f"{name}={value}" for name, value in QUICK.items()]
    run = lowdose.train("perceptual", tmp_path / "run", data=pair, set=settings, network=NETWORK, device="cpu")
    assert run.complete
    assert run.to_dict()["training"] == {"slices": 6, "patients": 1}


@pytest.mark.parametrize(
    ("recipe", "options", "words"),
    [
        ("wonder", {}, "no recipe 'wonder'; there are alden, anatomy"),
        ("unet", {}, "give the folder to train on with --data"),
        ("unet", {"set": ["steps"]}, "write NAME=VALUE"),
        ("unet", {"set": {"stepz": 1}}, "no setting 'stepz'"),
        ("unet", {"network": "red_cnn"}, "--network red_cnn: is not an option of the recipe unet"),
        ("unet", {"set": {"count_floor": 5}}, "count_floor=5: is for --pairing simulated"),
        ("unet", {"precision": "half"}, "--precision half"),
        ("unet", {"data": lowdose.Volume.from_array(np.zeros((2, 64, 64)), (3.0, 0.7, 0.7))}, r"pairs \(low, full\)"),
    ],
)
def test_bad_arguments_name_the_value_and_the_way_out(
    recipe: str, options: dict[str, object], words: str, ct_pair: CTPair, tmp_path: Path
) -> None:
    arguments = {"data": None if words.startswith("give") else ct_pair.full.parent, **options}
    with pytest.raises(lowdose.errors.InvalidSetting, match=words):
        lowdose.train(recipe, tmp_path / "run", **arguments)  # type: ignore[arg-type]
    assert not (tmp_path / "run").exists()
