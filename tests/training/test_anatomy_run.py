"""Training the anatomy network: it learns, saves and loads; resumed equals uninterrupted; it goes on from weights."""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from lowdose import recipes
from lowdose.batch import UNKNOWN, LabelledBatch
from lowdose.data.labelled.dataset import LabelledSlice
from lowdose.errors import IncompatibleCheckpoint, InvalidSetting, OutputRefused
from lowdose.hounsfield import Scale
from lowdose.methods.segmentation import Segmentation
from lowdose.models import checkpoint
from lowdose.models.checkpoint import TrainingDomain
from lowdose.network_spec import NetworkSpec
from lowdose.networks import anatomy
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.segmentation import segment_slice
from lowdose.organ_classes import CLASSES, INDEX, ORGANS, classes_of
from lowdose.training import anatomy_run as training
from lowdose.training import runner
from lowdose.training.anatomy_recipe import AnatomyHyperparameters, AnatomyRecipe
from lowdose.training.anatomy_run import BANK, train_anatomy, validate_anatomy
from lowdose.training.runner import MODEL_FILE, RunOptions
from lowdose.training.trainer import STATE_FILE
from lowdose.weights import files
from support.toy_patients import SIZE, instead_of_digital_patients, person
from support.training_runs import EXACT, StopAfter, assert_same

TINY = AnatomyHyperparameters(
    steps=4, batch=2, size=64, patients=1, real_share=0.5, validation_patients=1, warmup=1, validate_every=10,
    checkpoint_every=2,
)  # fmt: skip
people = pytest.fixture(autouse=True, name="people")(instead_of_digital_patients)


def small(**changes: object) -> AnatomyRecipe:
    recipe = recipes.get_recipe("anatomy")
    assert isinstance(recipe, AnatomyRecipe)
    return replace(recipe, hyperparameters=replace(TINY, **changes))


def real(hu: int = 100) -> LabelledSlice:
    annotated = np.zeros(len(CLASSES), bool)
    annotated[INDEX["liver"]] = True
    classes = np.full((SIZE, SIZE), UNKNOWN, np.uint8)
    classes[40:90, 50:100] = INDEX["liver"]
    return LabelledSlice(1, np.full((SIZE, SIZE), hu, np.int16), classes, annotated, (1.0, 1.0))


def go(
    recipe: AnatomyRecipe, run: Path, options: RunOptions = EXACT, slices: Sequence[LabelledSlice] = (), **more: Path
) -> bool:
    return train_anatomy("anatomy", recipe, slices, run, options, lambda _: None, lambda *_: None, **more)


ANATOMY = [name for name in recipes.recipe_names() if isinstance(recipes.get_recipe(name), AnatomyRecipe)]


@pytest.mark.parametrize("name", ANATOMY)
def test_every_recipe_trains_saves_loads_and_segments(name: str, tmp_path: Path) -> None:
    recipe = replace(recipes.get_recipe(name), hyperparameters=replace(TINY, steps=2, batch=1))
    said: list[str] = []
    run = tmp_path / "run"
    assert train_anatomy(name, recipe, [real()], run, EXACT, said.append, lambda *_: None)
    assert said == ["digital patients: 1/1"]
    found = segment_slice(anatomy.load_anatomy(run / MODEL_FILE), person(3).volume.hu[0], (1.0, 1.0))
    assert found.shape == (SIZE, SIZE)
    stated = json.loads(files.read_weights(run / MODEL_FILE).header["training"])
    assert (stated["recipe"], stated["step"], stated["size"]) == (name, 2, 64)
    assert recipe.paper
    rows = {row["name"]: float(row["value"]) for row in csv.DictReader((run / "log.csv").open())}
    for logged in ("anatomy/cross_entropy", "anatomy/dice", "validation/dice_clean", "validation/dice_noisy"):
        assert np.isfinite(rows[logged])
    described = json.loads((run / "run.json").read_text())
    assert described["classes"] == list(CLASSES)
    assert described["real"] == {"slices": 1, "patients": 1}
    assert {"bending", "appearance", "versions", "paper"} < set(described)
    assert described["settings"]["data"] == stated["data"]


def test_the_loss_falls(tmp_path: Path) -> None:
    losses: list[float] = []
    recipe = small(steps=20, batch=2, validation_patients=0, learning_rate=3e-3, checkpoint_every=100)
    turns = Segmentation.updates

    def watched(self: Segmentation, batch: LabelledBatch) -> object:
        for turn in turns(self, batch):
            losses.append(float(turn.terms["cross_entropy"].detach()))
            yield turn

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(Segmentation, "updates", watched)
        assert go(recipe, tmp_path)
    assert np.mean(losses[-5:]) < 0.75 * np.mean(losses[:3])


def test_resumed_equals_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    recipe, slices = small(ema=0.9), [real()]
    assert go(recipe, tmp_path / "whole", slices=slices)
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(3))
    assert not go(recipe, tmp_path / "parts", slices=slices)
    monkeypatch.setattr(runner, "GracefulStop", StopAfter(10**9))
    assert go(recipe, tmp_path / "parts", replace(EXACT, resume=True), slices)
    whole, parts = (torch.load(tmp_path / name / STATE_FILE, weights_only=True) for name in ("whole", "parts"))
    assert whole["step"] == parts["step"] == 4
    for key in ("modules", "ema", "optimisers"):
        assert_same(whole[key], parts[key])
    one, two = (files.read_weights(tmp_path / name / MODEL_FILE) for name in ("whole", "parts"))
    assert one.header == two.header
    assert all(torch.equal(value, two.tensors[name]) for name, value in one.tensors.items())
    # The averaged weights are what is written, with the statistics that belong to them.
    assert all(torch.equal(value, whole["ema"][name]) for name, value in one.tensors.items())
    assert not torch.equal(one.tensors["head.weight"], whole["modules"]["anatomy"]["head.weight"])


def test_a_run_goes_on_only_as_it_was_begun(tmp_path: Path) -> None:
    with pytest.raises(InvalidSetting, match="nothing to resume"):
        go(small(), tmp_path / "none", replace(EXACT, resume=True))
    run, again = tmp_path / "run", replace(EXACT, resume=True)
    go(small(steps=1, validation_patients=0), run, slices=[real()])
    with pytest.raises(OutputRefused, match="--resume"):
        go(small(steps=1, validation_patients=0), run, slices=[real()])
    with pytest.raises(InvalidSetting, match="seed was 0, now 1"):
        go(small(steps=1, validation_patients=0, seed=1), run, again, [real()])
    with pytest.raises(InvalidSetting, match="data was"):
        go(small(steps=1, validation_patients=0), run, again, [real(hu=101)])
    with pytest.raises(InvalidSetting, match="data was"):
        go(small(steps=1, validation_patients=0), run, again)
    with pytest.raises(InvalidSetting, match="start was None, now"):
        go(small(steps=1, validation_patients=0), run, again, [real()], start=run / MODEL_FILE)
    assert go(small(steps=1, validation_patients=0), run, again, [real()])


def test_digital_patients_are_kept_where_they_are_asked_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    once = small(steps=1, batch=1, validation_patients=0)
    go(once, tmp_path / "one", bank=tmp_path / "bank")
    assert not (tmp_path / "one" / BANK).exists()
    monkeypatch.setattr("lowdose.data.labelled.phantoms.training_patient", None)  # none is made again
    go(once, tmp_path / "two", bank=tmp_path / "bank")
    one, two = (load_file(tmp_path / name / MODEL_FILE) for name in ("one", "two"))
    assert all(torch.equal(value, two[name]) for name, value in one.items())


STILL = {"steps": 1, "batch": 1, "learning_rate": 1e-12, "final_learning_rate": 0.0, "warmup": 0}


def test_it_goes_on_from_weights(tmp_path: Path) -> None:
    torch.manual_seed(5)
    begun = tmp_path / "begun.safetensors"
    begun.write_bytes(anatomy.serialise_anatomy(anatomy.Anatomy(), {}))
    assert go(small(**STILL, validation_patients=0), tmp_path / "run", start=begun)
    start, fresh = load_file(begun), anatomy.Anatomy().state_dict()
    for name, value in torch.load(tmp_path / "run" / STATE_FILE, weights_only=True)["modules"]["anatomy"].items():
        if "running" in name or "num_batches" in name:
            continue
        torch.testing.assert_close(value, start[name], atol=1e-6, rtol=0)
        assert value.ndim < 4 or not torch.allclose(value, fresh[name], atol=1e-3)
    stated = json.loads(files.read_weights(tmp_path / "run" / MODEL_FILE).header["training"])
    assert stated["start"] == files.read_weights(begun).sha256


def test_weights_of_another_kind_are_no_start(tmp_path: Path) -> None:
    denoiser = Denoiser(NetworkSpec("unet", {"width": 4, "levels": 2}), Scale())
    checkpoint.save_denoiser(tmp_path / "unet.safetensors", denoiser, TrainingDomain(), {})
    for name, reason in (("unet.safetensors", "its format is"), ("gone.safetensors", "only .safetensors")):
        with pytest.raises(IncompatibleCheckpoint, match=reason):
            go(small(), tmp_path / "run", start=tmp_path / name)
    assert not (tmp_path / "run").exists()


class Knowing(torch.nn.Module):
    """Answers with the classes of the person that it is shown, by their HU."""

    multiple = 32

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        hu = torch.nn.functional.avg_pool2d(image, 2) * 3000 - 1000
        logits = torch.full((1, len(CLASSES), *hu.shape[-2:]), -1e4)
        for name, value in (("outside", -1000), ("torso_fat", -100), ("liver", 100)):
            logits[:, INDEX[name]] = -(hu[:, 0] - value).abs()
        return logits


def test_validation_is_the_mean_dice_of_organs_that_are_there() -> None:
    patients = [person(7, 2), person(8, 2)]
    found = validate_anatomy(Knowing(), patients)  # type: ignore[arg-type]
    assert set(found) == {"validation/dice_clean", "validation/dice_noisy"}
    # Only the liver is an organ; fat, well found too, does not count.
    assert 0.97 < found["validation/dice_clean"] < 1.0
    assert found["validation/dice_noisy"] < found["validation/dice_clean"]
    assert validate_anatomy(Knowing(), patients) == found  # type: ignore[arg-type]
    assert validate_anatomy(Knowing(), []) == {}  # type: ignore[arg-type]
    assert INDEX["liver"] in classes_of(patients[0].labels)
    assert "torso_fat" not in {organ.name for organ in ORGANS}


def test_the_loss_is_that_of_the_network_on_clipped_hu() -> None:
    torch.manual_seed(0)
    method = Segmentation(anatomy.Anatomy().eval())
    hu = torch.randn(1, 1, 64, 64) * 300
    hu[0, 0, 5:9], hu[0, 0, 15:19] = 5000.0, -3000.0
    batch = LabelledBatch(hu, torch.ones(1, 32, 32, dtype=torch.int64), torch.ones(1, len(CLASSES), dtype=torch.bool))
    (turn,) = method.updates(batch)
    logits = method.model((hu.clamp(-1000, 2000) + 1000) / 3000)
    assert turn.module == "anatomy"
    expected = torch.nn.functional.cross_entropy(logits, batch.classes)
    torch.testing.assert_close(turn.terms["cross_entropy"], expected)
    assert list(method.trained_modules()) == list(method.checkpointed_modules()) == ["anatomy"]
    assert method.trained_modules()["anatomy"] is method.model


@pytest.mark.parametrize(
    "wrong",
    [{"size": "100"}, {"size": "32"}, {"patients": "0"}, {"real_share": "1.5"}, {"patch": "64"}, {"seed": "x"},
     {"validation_patients": "-1"}, {"real_share": "nan"}, {"dose_low": "0.1"}],
)  # fmt: skip
def test_impossible_numbers(wrong: dict[str, str]) -> None:
    with pytest.raises(InvalidSetting, match=next(iter(wrong))):
        AnatomyHyperparameters().with_values(wrong)


def test_hyperparameters_from_text() -> None:
    changed = AnatomyHyperparameters().with_values({"size": "96", "real_share": "0", "steps": "7"})
    assert (changed.size, changed.real_share, changed.steps) == (96, 0.0, 7)
    assert isinstance(changed, AnatomyHyperparameters)


def test_progress_of_making_patients_is_reported_at_intervals_and_at_the_end() -> None:
    said: list[str] = []
    for done in range(1, 46):
        training._tell(said.append, done, 45)
    assert said == [f"digital patients: {done}/45" for done in (20, 40, 45)]
