"""Finish the shipped autoencoder: scale its latents to the length of words, then train the decoder further.

    python -m experiments.leda.finish_autoencoder RUN NORMAL DIGITAL OUT [--length 1.5] [--steps 1500]

In long training, latents become many times as long as words. All shipped words have one length, so the word nearest to
a latent is that of its direction: dividing ``to_words`` by one number leaves every first token as it was, and brings
LEDA's continuous term to the size of its discrete one. --length: length of latents afterwards, in lengths of a word
(root mean squares over the training slices). Then encoder and words stay fixed, and only the decoder is trained.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from lowdose.data.labelled.candidate_tokens import CandidateTokenCrops, candidate_token_batches
from lowdose.data.labelled.phantoms import PhantomDataset
from lowdose.data.labelled.segmentation_cache import SegmentationCache
from lowdose.data.normal_dose import normal_dose_slices
from lowdose.hounsfield import OBJECTIVE
from lowdose.language import autoencoder_file
from lowdose.networks import anatomy
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.features.registry import load_features
from lowdose.objectives.perceptual import Perceptual
from lowdose.training.leda_autoencoder.init import split_patients
from lowdose.training.leda_autoencoder.run import SEGMENTED
from lowdose.training.runner import MODEL_FILE
from lowdose.weights import files

BATCH, SIDE, RATE, PERCEPTUAL = 4, 256, 4e-4, 0.002


def main() -> None:
    """Scale, train and write the autoencoder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("run", "normal", "digital", "out"):
        parser.add_argument(name, type=Path)
    parser.add_argument("--length", type=float, default=1.5)
    parser.add_argument("--steps", type=int, default=1500)
    parser.add_argument("--patients", type=int, default=120)
    arguments = parser.parse_args()
    found = autoencoder_file.load_autoencoder(arguments.run / MODEL_FILE)
    with ExitStack() as stack:
        items, _ = normal_dose_slices(stack, [arguments.normal])
        held_out = int(str(found.training["validation_patients"]))
        real = SegmentationCache(
            arguments.run / SEGMENTED, split_patients(items, held_out)[0], anatomy.read_anatomy()[1]
        )
        crops = CandidateTokenCrops(
            real, PhantomDataset(arguments.digital, arguments.patients), 0.25, SIDE, _no_candidates, 77
        )
        scale_latents(found.autoencoder, crops, arguments.length)
        train_decoder(found.autoencoder, crops, arguments.steps)
    length = float(str(found.training["word_length"]))
    training = {**found.training, "shortened_to": arguments.length, "decoder_steps": arguments.steps}
    arguments.out.write_bytes(
        autoencoder_file.serialise_autoencoder(found.autoencoder, found.vocabulary, length, training)
    )
    print(files.read_weights(arguments.out).sha256)


def _no_candidates(*_: object) -> list[NDArray[np.int64]]:
    """Return empty pools of candidate tokens, which this training does not use."""
    return [np.zeros(1, np.int64)] * 3


@torch.no_grad()
def scale_latents(network: Autoencoder, crops: CandidateTokenCrops, length: float) -> None:
    """Scale ``to_words`` so that latents are ``length`` times as long as words."""
    squares = [
        network.encode(OBJECTIVE.encode(batch.hu.clamp(-1000, 2000))).square().sum(1).mean()
        for batch in candidate_token_batches(crops, BATCH, 100_000, 100_010)
    ]
    now = float(torch.stack(squares).mean().sqrt())
    factor = length * float(network.codebook.square().sum(1).mean().sqrt()) / now
    network.to_words.weight *= factor
    assert network.to_words.bias is not None
    network.to_words.bias *= factor
    print(f"latents of length {now:.3f} multiplied by {factor:.4f}", flush=True)


def train_decoder(network: Autoencoder, crops: CandidateTokenCrops, steps: int) -> None:
    """Train the decoder on the pixel and perceptual loss; its moving average is kept."""
    parts = nn.ModuleList([network.from_words, network.decoder]).requires_grad_(True)
    optimiser = torch.optim.AdamW(parts.parameters(), lr=RATE, betas=(0.9, 0.99), weight_decay=1e-9)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, RATE, steps + 1, pct_start=0.05)
    average = torch.optim.swa_utils.AveragedModel(parts, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.99))
    perceptual, seen = Perceptual(load_features("anatomy")), []
    for step, batch in enumerate(candidate_token_batches(crops, BATCH, 0, steps)):
        image = OBJECTIVE.encode(batch.hu.clamp(OBJECTIVE.low, OBJECTIVE.high))
        with torch.autocast("cpu", torch.bfloat16):
            with torch.no_grad():
                words = network.quantise(network.encode(image)).embedding
            made = network.decode(words)
            loss = (made - image).square().mean()
            total = loss + PERCEPTUAL * perceptual(made, image)
        optimiser.zero_grad()
        total.backward()
        nn.utils.clip_grad_norm_(parts.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        average.update_parameters(parts)
        seen.append(float(loss.detach()))
        if step % 50 == 49:
            print(f"step {step + 1}/{steps}  {-10 * np.log10(np.mean(seen[-50:])):.2f} dB", flush=True)
    parts.load_state_dict(average.module.state_dict())
    parts.requires_grad_(False)


if __name__ == "__main__":
    main()
