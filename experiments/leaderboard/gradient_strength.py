"""Measure how hard the perceptual loss pulls beside mean squared error, at the output of a denoiser.

    python -m experiments.leaderboard.gradient_strength SET MODEL [MODEL ...] [--features anatomy] [--patch 128]

SET: folder of ``experiments.furnace.validation_set``. MODEL: a denoiser trained with mean squared error; one of the
noise-free image is mixed with a quarter of the input. From the middle of each slice one patch is taken; the gradients
of both losses, each with the weight 1, with respect to the denoised patch are compared by their norms. Prints the
median over patches of their ratio, with its quartiles, and the weight at which both pull equally.
"""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from experiments.furnace.score import SHARE, denoise
from experiments.furnace.validation_set import load_images, load_set
from lowdose.hounsfield import OBJECTIVE
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.objectives.base import Objective
from lowdose.objectives.perceptual import perceptual_with
from lowdose.objectives.pixel import MSE


def gradient_norm(objective: Objective, pred: Tensor, target: Tensor) -> float:
    """Return the norm of the gradient of an objective with respect to the prediction."""
    free = pred.clone().requires_grad_(True)
    (gradient,) = torch.autograd.grad(objective(free, target), free)
    return float(gradient.norm())


def ratios(model: LoadedModel, folder: Path, perceptual: Objective, patch: int) -> list[float]:
    """Return for each slice the norm of the perceptual loss's gradient over that of mean squared error."""
    found = []
    for item in load_set(folder):
        low, full = load_images(folder, item)
        clean = denoise(model, item, low)
        top, left = ((side - patch) // 2 for side in full.shape)
        pred, target = (
            OBJECTIVE.encode(torch.from_numpy(np.array(image[top : top + patch, left : left + patch]))[None, None])
            for image in (clean, full)
        )
        found.append(gradient_norm(perceptual, pred, target) / gradient_norm(MSE(), pred, target))
    return found


def main() -> None:
    """Measure all models and print a line for each."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--features", default="anatomy", help="as of 'lowdose train perceptual'")
    parser.add_argument("--patch", type=int, default=128)
    arguments = parser.parse_args()
    perceptual = perceptual_with(arguments.features)
    for name in arguments.models:
        model = load_by_name(name, torch.device("cpu"))
        if model.denoiser.noise_free:
            model = replace(model, noise_kept=SHARE)
        low, middle, high = np.percentile(ratios(model, arguments.set, perceptual, arguments.patch), [25, 50, 75])
        print(f"{name}: {middle:.0f} ({low:.0f} to {high:.0f}), equal at the weight {1 / middle:.2g}")


if __name__ == "__main__":
    main()
