"""Small runs of adversarial recipes, and what such a recipe gains when it sees one pair only."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from lowdose import recipes
from lowdose.api import read
from lowdose.batch import PairedBatch
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.metrics import psnr
from lowdose.networks.denoiser import Denoiser
from lowdose.training.denoisers import parse_denoiser
from lowdose.training.hooks import TrainerHooks
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.trainer import Trainer
from support.ct_pair import CT_PAIR

TINY = {
    "steps": 6, "batch": 2, "patch": 32, "warmup": 1, "validation_patients": 1, "validate_every": 3,
    "checkpoint_every": 2,
}  # fmt: skip


def small_adversarial(name: str, network: str, **changes: float) -> DenoiserRecipe:
    recipe, chosen = recipes.get_recipe(name), parse_denoiser(network)
    assert isinstance(recipe, DenoiserRecipe)
    hyperparameters = replace(recipe.hyperparameters, **(TINY | changes))  # type: ignore[arg-type]
    return replace(recipe, network=chosen.network, scale=chosen.scale, hyperparameters=hyperparameters)


def gain_on_one_pair(recipe: DenoiserRecipe, folder: Path) -> float:
    """Train on 64 pixels of the fixture; return the gain in PSNR (dB, soft-tissue window) over untrained weights."""
    low, full = (
        torch.from_numpy(np.array(read(folder).hu[3, 96:160, 96:160], np.float32))[None, None]
        for folder in (CT_PAIR.quarter, CT_PAIR.full)
    )
    torch.manual_seed(0)
    denoiser = Denoiser(recipe.network, recipe.scale, stated_means_px=0)
    method = recipe.method(denoiser, recipe.hyperparameters, recipe.teachers)

    def quality() -> float:
        clean, wanted = (SOFT_TISSUE.apply(image[0, 0].numpy()) for image in (denoiser.denoise(low), full))
        return psnr(clean, wanted, 1.0)

    before, after = quality(), list[float]()
    hooks = TrainerHooks(
        lambda first, last: (PairedBatch(low, full, number=torch.tensor([step])) for step in range(first, last)),
        dict, lambda: after.append(quality()), lambda *_: None, lambda: False,
    )  # fmt: skip
    fabric = Fabric(accelerator="cpu", devices=1)
    assert Trainer(fabric, method, recipe.hyperparameters, folder).fit({}, hooks)
    return after[-1] - before
