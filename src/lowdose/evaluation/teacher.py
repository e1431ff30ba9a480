"""Whether a language-guided autoencoder can teach: what it sees of noise and texture, and how right its words are.

LEDA (Chen et al. 2024) pulls a denoised slice towards full dose in the latents and words of an autoencoder. A teacher
whose latents are blind to noise can only teach smoothness.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from lowdose.evaluation.noise_sensitivity import (
    NOISE_HU,
    NoiseSensitivity,
    blindness,
    high_pass_sds,
    middle,
    noise_sensitivity,
    simulated_noise,
    unit_image,
)
from lowdose.evaluation.teacher_words import TokenWords, judge_words
from lowdose.hounsfield import OBJECTIVE
from lowdose.image import HU
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.cell_words import CellWords, Pool
from lowdose.language.explanation import WORD_LAYERS
from lowdose.metrics.hu_bias import tissue_masks
from lowdose.networks.anatomy import Anatomy
from lowdose.networks.autoencoder import Autoencoder, pad_to_stride, reconstruct
from lowdose.networks.segmentation import segment_slice

REALISATIONS = 32
"""Realisations of the noise on one slice."""


@dataclass(frozen=True)
class TeacherReport:
    """Figures of one autoencoder, means over the slices.

    Attributes
    ----------
    autoencoder, sha256 : str
        Its name and the hash of its file.
    slices : int
        Slices measured.
    systematic_share, token_systematic_share : float
        B of latents and of the embeddings of their tokens (``metrics.systematic_share``).
    noise_distance_ratio, token_noise_distance_ratio : float
        D of both (``metrics.noise_distance_ratio``).
    texture_axis_share : float
        ``metrics.texture_axis_share`` of the latents.
    locality, token_locality : float
        ``metrics.texture_leakage`` of both.
    high_pass_sd : list of (float, float), HU
        SD of soft tissue less its mean of 5 x 5 pixels, in the input and in its reconstruction, at three noise levels.
    psnr : float, dB
        Of reconstructions of the slices as they are, on [-1000, 2000] HU.
    tissue_error : dict of str to float, HU
        Root mean square error of reconstructions in each tissue.
    words : list of TokenWords
        Of each layer that stands for regions; empty for an autoencoder whose codebook was learned.
    distinct_tokens : list of int
        Tokens of each layer over all slices.
    """

    autoencoder: str
    sha256: str
    slices: int
    systematic_share: float
    token_systematic_share: float
    noise_distance_ratio: float
    token_noise_distance_ratio: float
    texture_axis_share: float
    locality: float
    token_locality: float
    high_pass_sd: list[tuple[float, float]]
    psnr: float
    tissue_error: dict[str, float]
    words: list[TokenWords]
    distinct_tokens: list[int]

    def to_dict(self) -> dict[str, Any]:
        """Return all figures, for JSON."""
        return asdict(self)

    def warnings(self) -> list[str]:
        """Return what a training with this teacher cannot learn."""
        found = blindness(self.autoencoder, self.systematic_share)
        return [found] if found else []


@dataclass
class _Measured:
    """Figures of each slice, and all tokens, before they are averaged."""

    sensitivity: list[NoiseSensitivity] = field(default_factory=list)
    high_pass: list[list[tuple[float, float]]] = field(default_factory=list)
    psnr: list[float] = field(default_factory=list)
    tissues: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    tokens: list[list[int]] = field(default_factory=list)
    pools: list[list[Pool]] = field(default_factory=list)
    distinct: list[set[int]] = field(default_factory=list)


def assess_teacher(
    guided: LanguageGuidedAutoencoder,
    slices: Iterable[tuple[HU, tuple[float, float], bool]],
    denoise: Callable[[HU], HU],
    anatomy: Anatomy,
    realisations: int = REALISATIONS,
) -> TeacherReport:
    """Measure an autoencoder on normal-dose slices.

    slices: (y, x) in HU, pixel size in mm, and whether to measure the effect of noise on the slice, which takes most of
    the time; denoise: returns a slice without its noise; anatomy: tells what lies where, for the words; realisations:
    how many of the noise, an even number. Raises NothingToRead for a slice whose middle shows no even soft tissue in
    which noise could be measured.
    """
    network = guided.autoencoder
    layers = len(network.quantiser.parts)
    measured = _Measured(
        tokens=[[] for _ in range(min(WORD_LAYERS, layers))],
        pools=[[] for _ in range(min(WORD_LAYERS, layers))],
        distinct=[set() for _ in range(layers)],
    )
    count = 0
    for count, (hu, pixel_mm, with_noise) in enumerate(slices, start=1):
        if with_noise:
            smooth = denoise(hu)
            noise = simulated_noise(smooth, pixel_mm, realisations, str(count))
            part = smooth[middle(smooth.shape)]
            measured.sensitivity.append(noise_sensitivity(network, part, NOISE_HU * noise))
            measured.high_pass.append(high_pass_sds(network, part, noise[0]))
        psnr, tissues = reconstruction_errors(network, hu)
        measured.psnr.append(psnr)
        for name, error in tissues.items():
            measured.tissues[name].append(error)
        _read_tokens(guided, hu, segment_slice(anatomy, hu, pixel_mm), measured)
    return _averaged(guided, count, measured)


@torch.inference_mode()
def _read_tokens(guided: LanguageGuidedAutoencoder, hu: HU, classes: NDArray[np.uint8], measured: _Measured) -> None:
    network = guided.autoencoder
    latents = network.encode(pad_to_stride(unit_image(hu, next(network.parameters()).device), network.stride))
    indices = [layer[0].flatten().tolist() for layer in network.quantise(latents).indices]
    for found, tokens in zip(measured.distinct, indices, strict=True):
        found.update(tokens)
    if guided.vocabulary is None:
        return
    parts = network.quantiser.parts[: len(measured.tokens)]
    padded = np.pad(classes, [(0, -side % network.stride) for side in classes.shape], mode="symmetric")
    pools = CellWords(guided.vocabulary).pools(padded, parts, (latents.shape[2], latents.shape[3]))
    for layer, of_layer in enumerate(pools):
        measured.tokens[layer] += indices[layer]
        measured.pools[layer] += of_layer


def _averaged(guided: LanguageGuidedAutoencoder, count: int, measured: _Measured) -> TeacherReport:
    shares, ratios, leaks = (
        np.mean([getattr(one, name) for one in measured.sensitivity], 0).tolist()
        for name in ("systematic_share", "noise_distance_ratio", "leakage")
    )
    levels = np.mean(measured.high_pass, 0).tolist()
    words = [judge_words(*both) for both in zip(measured.tokens, measured.pools, strict=True)]
    return TeacherReport(
        autoencoder=guided.name,
        sha256=guided.sha256,
        slices=count,
        systematic_share=shares[0],
        token_systematic_share=shares[1],
        noise_distance_ratio=ratios[0],
        token_noise_distance_ratio=ratios[1],
        texture_axis_share=float(np.mean([one.axis_share for one in measured.sensitivity])),
        locality=leaks[0],
        token_locality=leaks[1],
        high_pass_sd=[(seen, made) for seen, made in levels],
        psnr=float(np.mean(measured.psnr)),
        tissue_error={name: float(np.mean(errors)) for name, errors in measured.tissues.items()},
        words=words if guided.vocabulary is not None else [],
        distinct_tokens=[len(found) for found in measured.distinct],
    )


@torch.inference_mode()
def reconstruction_errors(autoencoder: Autoencoder, hu: HU) -> tuple[float, dict[str, float]]:
    """Return the PSNR in dB on [-1000, 2000] HU of the reconstruction of a slice, and its RMS error in each tissue."""
    image = unit_image(hu, next(autoencoder.parameters()).device)
    made = reconstruct(autoencoder, image)[0]
    psnr = -10.0 * math.log10(max(1e-12, float((made - image).square().mean())))
    error = OBJECTIVE.decode(made)[0, 0].cpu().numpy() - np.clip(hu, OBJECTIVE.low, OBJECTIVE.high)
    return psnr, {name: float(np.sqrt(np.square(error[mask]).mean())) for name, mask in tissue_masks(hu).items()}
