"""Measure how hard a loss pulls beside mean squared error, at the output of a denoiser.

    python -m experiments.leaderboard.gradient_strength SET MODEL [MODEL ...] [--teacher KIND:NAME] [--patch 128]

SET: folder of ``experiments.furnace.validation_set``. MODEL: a denoiser trained with mean squared error; one of the
noise-free image is mixed with a quarter of the input. --teacher: ``features:anatomy`` for the perceptual loss,
``autoencoder:leda_teacher`` for LEDA, whose two terms are measured apart, ``none`` for the losses without one: mean
absolute error and structural similarity. From the middle of each slice one patch is
taken; the gradients of both losses, each with the weight 1, with respect to the denoised patch are compared by their
norms. Prints the median over patches of their ratio, with its quartiles, and the weight at which both pull equally.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.furnace.score import SHARE, denoise
from experiments.furnace.validation_set import load_images, load_set
from lowdose.hounsfield import OBJECTIVE
from lowdose.language.autoencoder_file import load_autoencoder
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.objectives.base import Objective
from lowdose.objectives.leda import Leda
from lowdose.objectives.perceptual import perceptual_with
from lowdose.objectives.pixel import L1, MSE
from lowdose.objectives.structural_similarity import MultiScaleStructuralSimilarity, StructuralSimilarity


def gradient_norm(objective: Objective, pred: Tensor, target: Tensor) -> float:
    """Return the norm of the gradient of an objective with respect to the prediction."""
    free = pred.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(objective(free, target), free)
    return float(gradient.norm())


def losses(teacher: str) -> dict[str, Objective]:
    """Return by name the losses that look with a frozen network, given as KIND:NAME, or with none."""
    if teacher == "none":
        return {"l1": L1(), "ssim": StructuralSimilarity(), "ms_ssim": MultiScaleStructuralSimilarity()}
    kind, _, name = teacher.partition(":")
    if kind == "features":
        return {"perceptual": perceptual_with(name)}
    autoencoder = load_autoencoder(name).autoencoder
    return {"leda_continuous": Leda(autoencoder, 1, 0), "leda_discrete": Leda(autoencoder, 0, 1)}


def ratios(model: LoadedModel, folder: Path, chosen: Mapping[str, Objective], patch: int) -> dict[str, list[float]]:
    """Return by loss, for each slice, the norm of its gradient over that of mean squared error."""
    found: dict[str, list[float]] = {name: [] for name in chosen}
    for item in load_set(folder):
        low, full = load_images(folder, item)
        clean = denoise(model, item, low)
        top, left = ((side - patch) // 2 for side in full.shape)
        pred, target = (
            OBJECTIVE.encode(torch.from_numpy(np.array(image[top : top + patch, left : left + patch]))[None, None])
            for image in (clean, full)
        )
        unit = gradient_norm(MSE(), pred, target)
        for name, objective in chosen.items():
            found[name].append(gradient_norm(objective, pred, target) / unit)
    return found


def main() -> None:
    """Measure all models and print a line for each loss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--teacher", default="features:anatomy", help="as of 'lowdose train', or none")
    parser.add_argument("--patch", type=int, default=128)
    arguments = parser.parse_args()
    chosen = losses(arguments.teacher)
    for name in arguments.models:
        model = load_by_name(name, torch.device("cpu"))
        if model.denoiser.noise_free:
            model = replace(model, noise_kept=SHARE)
        for loss, values in ratios(model, arguments.set, chosen, arguments.patch).items():
            low, middle, high = np.percentile(values, [25, 50, 75])
            print(f"{name}, {loss}: {middle:.2g} ({low:.2g} to {high:.2g}), equal at the weight {1 / middle:.2g}")


if __name__ == "__main__":
    main()
