"""LIDnet: whose turn it is, that the other side stays as it is, any base, exact resumption, and both models kept."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

import lowdose
from lowdose import recipes
from lowdose.batch import PairedBatch
from lowdose.errors import InvalidSetting
from lowdose.methods.lesion_inspired import AP, AP_FULL, LesionInspired, Schedule
from lowdose.models.load import load_by_name
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.detection.detector import Detections
from lowdose.recipes.lidnet import around
from lowdose.training.denoiser_run import train_denoiser
from lowdose.training.denoisers import parse_denoiser
from lowdose.training.recipe import DenoiserRecipe
from support.adversarial_runs import TINY
from support.ct_pair import CT_PAIR
from support.make_ct_fixture import FIXTURE
from support.training_runs import EXACT, modules_of_an_interrupted_run, paired_slices

DETECTOR = {"detector_width": 4, "detector_pyramid": 8, "detector_hidden": 16}
TURNS = {"detector_first": 2, "denoiser_turns": 2, "detector_turns": 1}


def small(base: str = "red_cnn", network: str = "red_cnn:channels=4", **changes: float) -> DenoiserRecipe:
    inner, chosen = recipes.get_recipe(base), parse_denoiser(network)
    assert isinstance(inner, DenoiserRecipe)
    recipe = around(inner)
    settings = {**TINY, **DETECTOR, **TURNS, **changes}
    hyperparameters = replace(recipe.hyperparameters, **settings)  # type: ignore[arg-type]
    return replace(recipe, network=chosen.network, scale=chosen.scale, hyperparameters=hyperparameters)


def method_of(recipe: DenoiserRecipe) -> LesionInspired:
    made = recipe.method(Denoiser(recipe.network, recipe.scale), recipe.hyperparameters, recipe.teachers)
    assert isinstance(made, LesionInspired)
    return made


def batch(side: int = 32) -> PairedBatch:
    low, full = 100 * torch.randn(2, 2, 1, side, side, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[4.0, 4.0, 16.0, 16.0]])
    return PairedBatch(
        low, full, number=torch.arange(2), boxes=boxes, labels=torch.zeros(1, dtype=torch.int64),
        box_counts=torch.tensor([1, 0]),
    )  # fmt: skip


def step(method: LesionInspired, rate: float = 1e-3) -> set[str]:
    """Make all updates of a step by plain gradient descent; return whose they were."""
    updated = set()
    for update in method.updates(batch()):
        module = method.trained_modules()[update.module]
        gradients = torch.autograd.grad(
            torch.stack([term.float() for term in update.terms.values()]).sum(), list(module.parameters()),
            allow_unused=True,
        )  # fmt: skip
        with torch.no_grad():
            for parameter, gradient in zip(module.parameters(), gradients, strict=True):
                if gradient is not None:
                    parameter -= rate * gradient
        updated.add(update.module)
    return updated


def test_the_schedule_is_algorithm_1() -> None:
    schedule = Schedule(detector_first=3, denoiser_turns=2, detector_turns=1)
    denoiser, detector = (True, False), (False, True)
    assert [schedule.sides(step) for step in range(9)] == 3 * [detector] + 2 * [denoiser, denoiser, detector]
    assert [Schedule(1, 2, 0).sides(step) for step in range(4)] == [detector, denoiser, denoiser, denoiser]
    assert [Schedule(1, 2, 1, joint=True).sides(step) for step in range(3)] == [detector, (True, True), (True, True)]


def test_the_side_whose_turn_it_is_not_stays_as_it_is() -> None:
    torch.manual_seed(0)
    method = method_of(small())
    seen = []
    for _ in range(5):
        before = {name: value.clone() for name, value in method.state_dict().items()}
        updated = step(method)
        changed = {
            name.removeprefix("base.").partition(".")[0]
            for name, value in method.state_dict().items()
            if name != "turn" and not torch.equal(value, before[name])
        }
        assert changed == updated
        seen.append(updated)
    assert seen == [{"detector"}, {"detector"}, {"denoiser"}, {"denoiser"}, {"detector"}]
    assert all(parameter.requires_grad for parameter in method.detector.parameters())


def test_the_detector_learns_from_full_dose_first_and_then_from_denoised_images() -> None:
    torch.manual_seed(0)
    method = method_of(small())
    seen: list[torch.Tensor] = []
    method.detector.losses = lambda slices, *_: seen.append(slices) or {"none": slices.sum() * 0}  # type: ignore[method-assign, func-returns-value]
    for _ in range(5):
        list(method.updates(batch()))
    full, denoised = batch().full, method.base.denoiser(batch().low)
    assert torch.equal(seen[0], full)
    assert torch.equal(seen[1], full)
    assert all(each.shape == denoised.shape and not torch.equal(each, full) for each in seen[2:])
    assert [each.requires_grad for each in seen] == [False, False, True, True, False]


def test_terms_of_the_detector_come_on_top_of_the_base() -> None:
    torch.manual_seed(0)
    method = method_of(small(detector_first=0))
    (update,) = method.updates(batch())
    assert set(update.terms) == {"mse", "roi", "detection"}
    assert float(update.terms["roi"].detach()) > 0
    without = method_of(small(detector_first=0, roi_weight=0, detection_weight=0))
    (plain,) = without.updates(batch())
    assert set(plain.terms) == {"mse"}
    (plain,) = method.updates(batch()._replace(boxes=torch.zeros(0, 4), box_counts=torch.tensor([0, 0])))
    assert set(plain.terms) == {"mse"}


def test_weights_are_relative_to_how_hard_the_base_pulls() -> None:
    torch.manual_seed(0)
    method = method_of(small(detector_first=0, roi_weight=2.0, detection_weight=0.5))
    outputs: list[torch.Tensor] = []
    method.trained_modules()["denoiser"].register_forward_hook(lambda _, __, out: outputs.append(out))
    (update,) = method.updates(batch())
    gradients = {
        name: torch.autograd.grad(term, outputs[0], retain_graph=True)[0] for name, term in update.terms.items()
    }
    pulls = {name: float(gradient.norm()) for name, gradient in gradients.items()}
    assert pulls["roi"] == pytest.approx(2 * pulls["mse"], rel=1e-3)
    assert pulls["detection"] == pytest.approx(0.5 * pulls["mse"], rel=1e-3)
    assert float(gradients["roi"][1].abs().max()) == 0  # an image without a box has no part in it


@pytest.mark.parametrize(
    ("base", "terms"),
    [
        ("wgan_vgg", {"adversarial", "perceptual"}),
        ("map_nn", {"mse", "sobel", "adversarial"}),
        ("res_hlf", {"ssim", "l1", "adversarial"}),
    ],
)
def test_it_goes_around_an_adversarial_base(base: str, terms: set[str]) -> None:
    torch.manual_seed(0)
    turns = {"critic_turns": 1} if base != "res_hlf" else {}
    method = method_of(small(base, detector_first=0, critic_width=4, patch=64, **turns))
    updates = {update.module: dict(update.terms) for update in method.updates(batch(64))}
    assert set(updates) == {"critic", "denoiser"}
    assert set(updates["denoiser"]) == terms | {"roi", "detection"}
    assert set(method.artefacts()) == {"critic", "detector"}
    assert set(method.own_state()) == {"turn", "best_ap", "since_best", "base.turn"}


def test_resumed_equals_uninterrupted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LesionInspired, "held_out_patches", 2)
    modules = modules_of_an_interrupted_run(small(), tmp_path, monkeypatch)
    assert modules == {"denoiser", "detector"}


def test_it_has_finished_after_so_many_validations_without_a_better_ap() -> None:
    method = method_of(small(patience=2))
    assert not any(method.finished({AP: ap}) for ap in (0.9, 0.1, 0.1, 0.1))  # T1 does not count
    method.turn.fill_(3)
    assert [method.finished({AP: ap}) for ap in (0.2, 0.1, 0.3, 0.3, 0.29)] == [False, False, False, False, True]
    assert not method.finished({})
    endless = method_of(small(patience=0))
    endless.turn.fill_(3)
    assert not any(endless.finished({AP: 0.1}) for _ in range(9))


def test_average_precision_is_that_of_the_boxes_it_finds() -> None:
    method = method_of(small())
    sure = torch.tensor([1.0])
    answers = [Detections(torch.tensor([[4.0, 4.0, 16.0, 16.0]]), sure), Detections(torch.zeros(0, 4), torch.zeros(0))]
    method.detector.detect = lambda slices: answers  # type: ignore[method-assign]
    assert method.held_out_figures(iter([batch()])) == {AP: pytest.approx(1), AP_FULL: pytest.approx(1)}
    method.detector.detect = lambda slices: answers[::-1]  # type: ignore[method-assign]
    assert method.held_out_figures(iter([batch()]))[AP] == 0
    nothing = batch()._replace(boxes=torch.zeros(0, 4), box_counts=torch.tensor([0, 0]))
    assert method.held_out_figures(iter([nothing])) == {}


def test_a_run_ends_early_and_says_at_which_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(LesionInspired, "held_out_patches", 4)
    recipe = small(patience=1, validate_every=2, steps=40, detector_first=1, lesion_share=1.0)
    done = train_denoiser("lidnet", recipe, paired_slices(), tmp_path, EXACT, lambda _: None, lambda *_: None)
    rows = [line.split(",") for line in (tmp_path / "log.csv").read_text().splitlines()]
    validated = [int(step) for step, name, _ in rows if name == AP]
    assert done
    assert validated[-1] + 1 < 40
    assert json.loads((tmp_path / "run.json").read_text())["settings"]["steps"] == validated[-1] + 1
    assert load_by_name(str(tmp_path / "model.safetensors"), torch.device("cpu"))


def test_a_base_that_learns_from_more_slices_gets_them() -> None:
    assert method_of(small("noise2sim", "unet:width=4,levels=2")).neighbours == 2


def test_hyperparameters_are_those_of_both() -> None:
    values = small("wgan_vgg").hyperparameters.with_values({"critic_width": "9", "roi_weight": "0.5"})
    given: dict[str, Any] = vars(values)
    assert (given["critic_width"], given["roi_weight"], given["lesion_share"]) == (9, 0.5, 0.8)
    with pytest.raises(InvalidSetting, match="detector_width=0: must be from 1 to 256"):
        small().hyperparameters.with_values({"detector_width": "0"})


@pytest.mark.slow
def test_from_train_to_denoise(tmp_path: Path) -> None:
    settings = {"steps": 3, "batch": 2, "patch": 64, "validation_patients": 0, "critic_width": 4, "critic_turns": 1}
    options = {"base": "wgan_vgg", "network": "red_cnn:channels=4", "data": FIXTURE, "set": settings | DETECTOR | TURNS}
    run = lowdose.train("lidnet", tmp_path / "run", **options)  # type: ignore[arg-type]
    assert run.to_dict()["settings"]["base"] == "wgan_vgg"
    assert set(run.artefacts) == {"critic", "detector"}
    lowdose.denoise(CT_PAIR.quarter, tmp_path / "out", model=run.weights)
    assert lowdose.read(tmp_path / "out").hu.shape == lowdose.read(CT_PAIR.quarter).hu.shape
    with pytest.raises(InvalidSetting, match="--base lidnet: trains no denoiser by itself"):
        lowdose.train("lidnet", tmp_path / "other", base="lidnet", data=FIXTURE)
    with pytest.raises(InvalidSetting, match="--base red_cnn: is not an option of the recipe unet"):
        lowdose.train("unet", tmp_path / "other", base="red_cnn", data=FIXTURE)
