"""Measure how hard losses pull beside mean squared error, at the output of a denoiser.

    python -m experiments.leaderboard.gradient_strength SET MODEL [MODEL ...] [--loss KIND:NAME] [--patch 128]

SET: folder of ``experiments.furnace.validation_set``. MODEL: a denoiser trained with mean squared error; one of the
noise-free image is mixed with a quarter of the input. From the middle of each slice one patch is taken; the gradients
of both losses, each with the weight 1, with respect to the denoised patch are compared by their norms. Prints the
median over patches of their ratio, with its quartiles, and the weight at which both pull equally. --loss:

    features:anatomy            the perceptual loss, and ALDEN's semantic contrast
    autoencoder:leda_teacher    both terms of LEDA
    structure                   L1, SSIM and MS-SSIM
    critic:RUN                  the score of the critic of a training with a patch critic, on patches of its size
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from experiments.furnace.score import SHARE, denoise
from experiments.furnace.validation_set import load_images, load_set
from lowdose.hounsfield import OBJECTIVE
from lowdose.language.autoencoder_file import load_autoencoder
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.networks.critic import patch_critic
from lowdose.networks.features.registry import load_identified
from lowdose.objectives.base import Objective
from lowdose.objectives.leda import Leda
from lowdose.objectives.perceptual import Perceptual
from lowdose.objectives.pixel import L1, MSE
from lowdose.objectives.semantic_contrast import SemanticContrast
from lowdose.objectives.structural_similarity import MultiScaleStructuralSimilarity, StructuralSimilarity
from lowdose.weights.artefact import load_artefact
from lowdose.weights.files import read_weights


class Score(Objective):
    """What a critic says of the prediction, as the denoiser minimises it."""

    def __init__(self, critic: nn.Module) -> None:
        super().__init__()
        self.critic = critic

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return the mean score."""
        return {"critic": -self.critic(pred).mean()}


def gradient_norm(objective: Objective, pred: Tensor, target: Tensor, low: Tensor) -> float:
    """Return the norm of the gradient of an objective with respect to the prediction."""
    free = pred.clone().requires_grad_(True)
    loss = torch.stack(list(objective.terms_with_low_dose(free, target, low).values())).sum()
    (gradient,) = torch.autograd.grad(loss, free)
    return float(gradient.norm())


def losses(wanted: str, patch: int) -> dict[str, Objective]:
    """Return by name the losses of a KIND:NAME; ``patch`` is the side in pixels of what a critic sees."""
    kind, _, name = wanted.partition(":")
    if kind == "features":
        features, source = load_identified(name)
        return {"perceptual": Perceptual(features, source), "semantic_contrast": SemanticContrast(features, source)}
    if kind == "autoencoder":
        autoencoder = load_autoencoder(name).autoencoder
        return {"leda_continuous": Leda(autoencoder, 1, 0), "leda_discrete": Leda(autoencoder, 0, 1)}
    if kind == "structure":
        return {"l1": L1(), "ssim": StructuralSimilarity(), "ms_ssim": MultiScaleStructuralSimilarity()}
    file = Path(name) / "critic.safetensors"
    width = len(next(iter(read_weights(file).tensors.values())))
    critic = patch_critic(patch, width)
    load_artefact(critic, "critic", file)
    return {"critic": Score(critic)}


def ratios(model: LoadedModel, folder: Path, chosen: Mapping[str, Objective], patch: int) -> dict[str, list[float]]:
    """Return by loss, for each slice, the norm of its gradient over that of mean squared error."""
    found: dict[str, list[float]] = {name: [] for name in chosen}
    for item in load_set(folder):
        low, full = load_images(folder, item)
        clean = denoise(model, item, low)
        top, left = ((side - patch) // 2 for side in full.shape)
        images = [
            OBJECTIVE.encode(torch.from_numpy(np.array(image[top : top + patch, left : left + patch]))[None, None])
            for image in (clean, full, low[len(low) // 2])
        ]
        unit = gradient_norm(MSE(), *images)
        for name, objective in chosen.items():
            found[name].append(gradient_norm(objective, *images) / unit)
    return found


def main() -> None:
    """Measure all models and print a line for each loss."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("models", nargs="+")
    parser.add_argument("--loss", default="features:anatomy")
    parser.add_argument("--patch", type=int, default=128)
    arguments = parser.parse_args()
    chosen = losses(arguments.loss, arguments.patch)
    for name in arguments.models:
        model = load_by_name(name, torch.device("cpu"))
        if model.denoiser.noise_free:
            model = replace(model, noise_kept=SHARE)
        for loss, values in ratios(model, arguments.set, chosen, arguments.patch).items():
            low, middle, high = np.percentile(values, [25, 50, 75])
            print(f"{name}, {loss}: {middle:.2g} ({low:.2g} to {high:.2g}), equal at the weight {1 / middle:.2g}")


if __name__ == "__main__":
    main()
