"""Training run of a noise model on low-dose series."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.data.pairs import fingerprint
from lowdose.io.atomic_replace import replace_file
from lowdose.metrics.noise_frequency import f_av
from lowdose.metrics.noise_power import nps_radial
from lowdose.networks.noise_vae import NoiseDecoder, serialise_noise_model
from lowdose.sample_draws import normal_draws
from lowdose.training.hooks import Progress
from lowdose.training.learned_noise.data import NoiseDataset, chosen_slices, noise_of_slices, summary
from lowdose.training.learned_noise.flat_patches import NoisePatches
from lowdose.training.learned_noise.recipe import NoiseRecipe
from lowdose.training.runner import RunOptions, Say, TrainingStage, run_training, sharded_batches
from lowdose.version import __version__

VALIDATION_PATCHES = 256
REPORT_EVERY = 20
"""Slices between reports of progress."""


def train_noise_model(
    name: str,
    recipe: NoiseRecipe,
    items: Sequence[NormalDoseSlice],
    run: Path,
    options: RunOptions,
    say: Say,
    progress: Progress,
) -> bool:
    """Train in the folder ``run`` on slices of low dose; True when complete, False when stopped early.

    say: receives messages. progress: see ``hooks.Progress``. Raises what ``run_training`` raises, and NothingToRead
    when the slices have too little flat tissue.
    """
    return run_training(
        lambda: _NoiseJob(name, recipe, items, say), recipe.hyperparameters, run, options, say, progress
    )


class _NoiseJob:
    """The job of training a noise model; see ``runner.TrainingJob``."""

    def __init__(self, name: str, recipe: NoiseRecipe, items: Sequence[NormalDoseSlice], say: Say) -> None:
        self._recipe, h = recipe, recipe.hyperparameters
        learn, check = chosen_slices(items, h.slices, h.held_out_share)
        self._patches = noise_of_slices(learn, lambda done, total: _tell(say, done, total))
        self._held_out = noise_of_slices(check) if check else None
        trained_on, remarks = summary(self._patches)
        for remark in remarks:
            say(remark)
        self.method = recipe.method(trained_on)
        self.settings: dict[str, object] = {
            "recipe": name, "data": fingerprint(learn, check), **asdict(recipe.hyperparameters)
        }  # fmt: skip
        self.description: dict[str, object] = {
            "paper": recipe.paper,
            "training": {"slices": len(learn), "patches": len(self._patches.noise)},
            "validation": {"slices": len(check), "patches": 0 if self._held_out is None else len(self._held_out.noise)},
            "noise": {"sd": trained_on.sd, "pixel_mm": trained_on.pixel_mm},
        }

    def stage(self, run: Path, fabric: Fabric, say: Say) -> TrainingStage:
        """Return the callbacks of the training loop."""
        h, decoder = self._recipe.hyperparameters, self.method.decoder
        say(f"{len(self._patches.noise)} patches of noise, standard deviation {float(decoder.sd):.1f} HU")
        metadata = {**self.settings, "paper": self._recipe.paper, "lowdose": __version__}

        def export(path: Path, step: int, steps: int) -> None:
            replace_file(path, serialise_noise_model(decoder, {**metadata, "step": step, "steps": steps}))

        return TrainingStage(
            sharded_batches(NoiseDataset(self._patches, h.seed), h.batch, fabric),
            lambda: validate_noise_model(decoder, self._held_out),
            export,
        )


@torch.no_grad()
def validate_noise_model(decoder: NoiseDecoder, held_out: NoisePatches | None) -> Mapping[str, float]:
    """Return the standard deviation and the mean frequency of samples, each as a share of that of held-out noise."""
    if held_out is None or len(held_out.noise) == 0:
        return {}
    some = np.linspace(0, len(held_out.noise) - 1, min(VALIDATION_PATCHES, len(held_out.noise))).round().astype(int)
    real = held_out.taken(some)
    side = real.noise.shape[-1] + 2 * decoder.margin
    device = decoder.sd.device
    white = normal_draws(torch.arange(len(some)), (decoder.settings.components, side, side)).to(device)
    places = torch.from_numpy(real.conditions).to(device)[..., None, None]
    parts = zip(torch.split(white, 32), torch.split(places, 32), strict=True)
    sampled = torch.cat([decoder(*part) for part in parts])[:, 0].cpu().numpy()
    pixel = float(np.median(real.pixel_mm))
    spectra = nps_radial(sampled, pixel), nps_radial(real.noise, pixel)
    return {
        "validation/sd_ratio": float(sampled.std() / real.noise.std()),
        "validation/f_av_ratio": f_av(spectra[0]) / f_av(spectra[1]),
    }


def _tell(say: Say, done: int, total: int) -> None:
    """Report every few slices and the last."""
    if done % REPORT_EVERY == 0 or done == total:
        say(f"noise patches: slice {done}/{total}")
