"""Training data of LEDA's autoencoder: crops of real and digital patients with the candidate words of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from numpy.typing import NDArray

from lowdose.data.labelled.candidate_tokens import CandidateTokenCrops, Choose, ChooseCells
from lowdose.data.labelled.phantoms import PhantomDataset
from lowdose.data.labelled.segmentation_cache import SegmentationCache
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.image import HU
from lowdose.language import relevance
from lowdose.language.cell_words import CellWords
from lowdose.language.clip import ClipRelevance
from lowdose.language.relevance import AnatomyRelevance
from lowdose.language.vocabulary import Vocabulary
from lowdose.models.load import load_by_name, remove_noise
from lowdose.networks.anatomy import Anatomy
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.segmentation import segment_slice
from lowdose.training.leda_autoencoder.recipe import AutoencoderHyperparameters
from lowdose.training.runner import Say
from lowdose.weights.identity import DEFAULT_MODEL

Pools = Sequence[NDArray[np.int64]]
Pixel = tuple[float, float] | None


def real_slices(
    folder: Path,
    items: Sequence[NormalDoseSlice],
    network: Anatomy,
    sha256: str,
    fabric: Fabric,
    say: Say,
    without_noise: bool = False,
) -> SegmentationCache | None:
    """Segment ``items`` with the anatomy network, and keep the classes in ``folder``; None if there are no items.

    sha256: hash of the file that the network was read from. without_noise: whether the shipped default denoiser removes
    the noise of the slices. Each process does its share, on its device.
    """
    if not items:
        return None
    process = (fabric.global_rank, fabric.world_size)
    denoiser = load_by_name(DEFAULT_MODEL, fabric.device) if without_noise else None
    real = SegmentationCache(folder, items, sha256, denoiser.sha256 if denoiser else "")
    network.to(fabric.device)
    real.build(
        lambda hu, pixel: segment_slice(network, hu, pixel),
        _progress_messages(say, "slices segmented"),
        process,
        partial(remove_noise, denoiser) if denoiser else None,
    )
    network.cpu()  # relevance is computed in loader processes, which cannot use CUDA
    return real


def digital_slices(
    bank: Path, hyperparameters: AutoencoderHyperparameters, fabric: Fabric, say: Say
) -> PhantomDataset | None:
    """Build the digital patients that are missing in ``bank``; None if the hyperparameters need none."""
    if not (hyperparameters.digital_share and hyperparameters.patients):
        return None
    digital = PhantomDataset(bank, hyperparameters.patients)
    process, cores = (fabric.global_rank, fabric.world_size), torch.get_num_threads()
    digital.build(_progress_messages(say, "digital patients"), process, cores)
    return digital


def training_crops(
    real: SegmentationCache | None,
    digital: PhantomDataset | None,
    hyperparameters: AutoencoderHyperparameters,
    choose: Choose,
    choose_cells: ChooseCells | None = None,
    stride: int = 16,
) -> CandidateTokenCrops:
    """Return the crops to train on; every process must have finished building ``real`` and ``digital``.

    stride: pixels of a cell of the latents.
    """
    if digital is not None:
        _ = digital.occurring  # computed here once, or each loader process would read every label
    return CandidateTokenCrops(
        real,
        digital,
        hyperparameters.digital_share,
        hyperparameters.side,
        choose,
        hyperparameters.seed,
        choose_cells,
        bool(hyperparameters.noisy),
        hyperparameters.side // stride if hyperparameters.organs_weight else 0,
    )


def cell_word_chooser(words: Vocabulary, made: Autoencoder, side: int) -> ChooseCells:
    """Return a function that chooses the candidate words of each position of the coarse layers by its organ classes.

    side: pixels a side of a crop.
    """
    cells = side // made.stride
    return partial(CellWords(words).pools, parts=made.quantiser.parts[:-1], cells=(cells, cells))


def candidate_chooser(relevance_of: AnatomyRelevance | ClipRelevance, layers: int) -> Choose:
    """Return a function that chooses the candidate words of each layer for an image by their relevance.

    It can be pickled, because loader processes may be spawned instead of forked.
    """
    thresholds = relevance.THRESHOLDS if layers == len(relevance.THRESHOLDS) else evenly_spaced_thresholds(layers)
    if isinstance(relevance_of, ClipRelevance):
        return partial(_candidates_from_image, relevance_of, thresholds)
    return partial(_candidates_from_classes, relevance_of, thresholds)


def _candidates_from_image(
    relevance_of: ClipRelevance, thresholds: Sequence[float], hu: HU, classes: NDArray[np.uint8], pixel: Pixel
) -> Pools:
    return relevance.candidate_pools(relevance_of.scores(hu, pixel), thresholds)


def _candidates_from_classes(
    relevance_of: AnatomyRelevance, thresholds: Sequence[float], hu: HU, classes: NDArray[np.uint8], pixel: Pixel
) -> Pools:
    return relevance.candidate_pools(relevance_of.scores_of(classes, pixel), thresholds)


def evenly_spaced_thresholds(layers: int) -> list[float]:
    """Return the relevance threshold of each layer, coarsest first: evenly spaced between those of the paper."""
    first, last = relevance.THRESHOLDS[0], relevance.THRESHOLDS[-1]
    return [last + (first - last) * (layers - 1 - layer) / max(1, layers - 1) for layer in range(layers)]


def _progress_messages(say: Say, what: str) -> Callable[[int, int], None]:
    """Return a callback (done, total) that reports every 50th item and the last."""

    def report(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            say(f"{what}: {done}/{total}")

    return report
