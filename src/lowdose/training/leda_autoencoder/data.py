"""What LEDA's autoencoder is fed with: crops of real and digital patients, and the words that fit each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric
from numpy.typing import NDArray

from lowdose.data.labelled.candidate_tokens import CandidateTokenCrops, Choose
from lowdose.data.labelled.phantoms import PhantomDataset
from lowdose.data.labelled.segmentation_cache import SegmentationCache
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.image import HU
from lowdose.language import relevance
from lowdose.language.clip import ClipRelevance
from lowdose.language.relevance import AnatomyRelevance
from lowdose.networks.anatomy import Anatomy
from lowdose.networks.segmentation import segment_slice
from lowdose.training.leda_autoencoder.recipe import AutoencoderHyperparameters
from lowdose.training.runner import Say

Pools = Sequence[NDArray[np.int64]]
Pixel = tuple[float, float] | None


def real_slices(
    folder: Path, items: Sequence[NormalDoseSlice], network: Anatomy, sha256: str, fabric: Fabric, say: Say
) -> SegmentationCache | None:
    """``items`` with their classes by the anatomy network, whose file has that hash; None if there are none."""
    if not items:
        return None
    real = SegmentationCache(folder, items, sha256)
    share = (fabric.global_rank, fabric.world_size)
    real.build(lambda hu, pixel: segment_slice(network, hu, pixel), _teller(say, "slices segmented"), share)
    return real


def digital_slices(
    bank: Path, hyperparameters: AutoencoderHyperparameters, fabric: Fabric, say: Say
) -> PhantomDataset | None:
    """The patients in ``bank``; None if the numbers ask for none."""
    if not (hyperparameters.digital_share and hyperparameters.patients):
        return None
    digital = PhantomDataset(bank, hyperparameters.patients)
    digital.build(_teller(say, "digital patients"), (fabric.global_rank, fabric.world_size))
    return digital


def training_crops(
    real: SegmentationCache | None,
    digital: PhantomDataset | None,
    hyperparameters: AutoencoderHyperparameters,
    choose: Choose,
) -> CandidateTokenCrops:
    """Of data that every process has finished making."""
    if digital is not None:
        _ = digital.occurring  # once, before loader processes would each read every label
    return CandidateTokenCrops(
        real, digital, hyperparameters.digital_share, hyperparameters.side, choose, hyperparameters.seed
    )


def candidate_chooser(judge: AnatomyRelevance | ClipRelevance, layers: int) -> Choose:
    """Candidate words of each layer by ``evaluate_organs``; picklable, since loader processes may not be forked."""
    thresholds = relevance.THRESHOLDS if layers == len(relevance.THRESHOLDS) else evenly_spaced_thresholds(layers)
    if isinstance(judge, ClipRelevance):
        return partial(_by_image, judge, thresholds)
    return partial(_by_classes, judge, thresholds)


def _by_image(
    judge: ClipRelevance, thresholds: Sequence[float], hu: HU, classes: NDArray[np.uint8], pixel: Pixel
) -> Pools:
    return relevance.candidate_pools(judge.scores(hu, pixel), thresholds)


def _by_classes(
    judge: AnatomyRelevance, thresholds: Sequence[float], hu: HU, classes: NDArray[np.uint8], pixel: Pixel
) -> Pools:
    return relevance.candidate_pools(judge.scores_of(classes, pixel), thresholds)


def evenly_spaced_thresholds(layers: int) -> list[float]:
    """Thresholds of another number of layers than the paper's three: evenly from its first to its last."""
    first, last = relevance.THRESHOLDS[0], relevance.THRESHOLDS[-1]
    return [last + (first - last) * (layers - 1 - layer) / max(1, layers - 1) for layer in range(layers)]


def _teller(say: Say, what: str) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            say(f"{what}: {done}/{total}")

    return tell
