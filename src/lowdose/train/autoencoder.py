"""The training of LEDA's autoencoder from scans of normal dose and digital patients to weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from lightning_fabric import Fabric
from torch import Tensor

import lowdose
from lowdose.batch import WordedBatch
from lowdose.data.digital import DigitalPatients
from lowdose.data.normal import NormalSlice
from lowdose.data.segmented import SegmentedSlices
from lowdose.data.worded import Choose, WordedCrops, worded_batches
from lowdose.errors import InvalidSetting
from lowdose.io.replace import replace_file
from lowdose.language import guided, relevance, vocabulary
from lowdose.language.clip import ClipRelevance
from lowdose.language.vocabulary import Vocabulary
from lowdose.methods.autoencoder import GuidedAutoencoder
from lowdose.networks import anatomy
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.denoiser import channels_last
from lowdose.networks.discriminator import patch_gan
from lowdose.networks.features.find import find
from lowdose.networks.segmentation import segment
from lowdose.objectives.perceptual import Perceptual
from lowdose.train.autoencoder_recipe import AutoencoderNumbers, AutoencoderRecipe
from lowdose.train.conduct import Options, Say, Stage, conduct, loaders
from lowdose.train.reconstruction import reconstruction

BANK, SEGMENTED = "digital-patients", "segmented"


def train_autoencoder(
    name: str,
    recipe: AutoencoderRecipe,
    items: Sequence[NormalSlice],
    run: Path,
    options: Options,
    say: Say,
    progress: Callable[[int, float, float], None],
    words: Vocabulary | None = None,
    bank: Path | None = None,
    start: Path | None = None,
    clip: str | None = None,
) -> bool:
    """Train in the folder ``run`` on ``items`` and on digital patients, kept in ``bank``.

    words: another vocabulary than the shipped one. clip: a model's folder or hub name, to say which words fit an image
    as the paper has it, instead of the anatomy network. start: an autoencoder to go on from. See ``conduct`` for what
    it returns and raises; InvalidSetting besides when no patient would be left to train on.
    """
    return conduct(
        lambda: _Reading(name, recipe, items, words or vocabulary.load(), bank or run / BANK, start, clip),
        recipe.numbers, run, options, say, progress,
    )  # fmt: skip


def split(items: Sequence[NormalSlice], held_out: int) -> tuple[list[NormalSlice], list[NormalSlice]]:
    """(training, validation): the last ``held_out`` patients by number are held out."""
    patients = sorted({item.patient for item in items})
    if items and held_out >= len(patients):
        raise InvalidSetting(
            f"cannot hold out {held_out} of {len(patients)} patient(s): at least one must stay for training; give more "
            "patients, or --set validation_patients=0"
        )
    kept_back = set(patients[len(patients) - held_out :])
    learn = [item for item in items if item.patient not in kept_back]
    return learn, [item for item in items if item.patient in kept_back]


class _Reading:
    """The job of training an autoencoder to read."""

    def __init__(
        self, name: str, recipe: AutoencoderRecipe, items: Sequence[NormalSlice], words: Vocabulary, bank: Path,
        start: Path | None, clip: str | None,
    ) -> None:  # fmt: skip
        numbers = recipe.numbers
        self._recipe, self._bank, self._words, self._clip = recipe, bank, words, clip
        self._learn, self._check = split(items, numbers.validation_patients)
        _check_data(numbers, len(self._learn))
        self._autoencoder, begun = _fresh(recipe, words), None
        if start is not None:
            begun = _go_on(self._autoencoder, start)
        channels_last(self._autoencoder)
        perceptual = Perceptual(find(recipe.features), recipe.features)
        discriminator = patch_gan(numbers.discriminator_width)
        self.method = GuidedAutoencoder(self._autoencoder, discriminator, perceptual, numbers.weights)
        self.settings: dict[str, object] = {
            "recipe": name,
            "size": recipe.size,
            "features": recipe.features,
            "vocabulary": words.sha256,
            "clip": clip,
            "data": _fingerprint(self._learn, self._check),
            "start": begun,
            **asdict(numbers),
        }
        self.description: dict[str, object] = {
            "paper": recipe.paper,
            "words": words.provenance,
            "training": {"slices": len(self._learn), "patients": len({i.patient for i in self._learn})},
            "validation": {"slices": len(self._check), "patients": len({i.patient for i in self._check})},
        }

    def stage(self, run: Path, fabric: Fabric, say: Say) -> Stage:
        numbers, made, words = self._recipe.numbers, self._autoencoder, self._words
        crops = self._crops(run, fabric, say)

        def feed(first: int, last: int) -> Iterator[WordedBatch]:
            workers = loaders(fabric.device.type == "cuda")
            return worded_batches(crops, numbers.batch, first, last, fabric.global_rank, fabric.world_size, workers)

        judged = self._check if fabric.is_global_zero else []
        facts = {
            **self.settings,
            "paper": self._recipe.paper,
            "lowdose": lowdose.__version__,
            "slices": len(self._learn),
            "processes": fabric.world_size,
        }

        def export(path: Path, step: int) -> None:
            own = None if numbers.learned_tokens else words
            replace_file(path, guided.packed(made, own, numbers.word_length, {**facts, "step": step}))

        return Stage(feed, lambda: reconstruction(made, judged), export)

    def _crops(self, run: Path, fabric: Fabric, say: Say) -> WordedCrops:
        numbers, share = self._recipe.numbers, (fabric.global_rank, fabric.world_size)
        network, sha256 = anatomy.read()
        real = SegmentedSlices(run / SEGMENTED, self._learn, sha256) if self._learn else None
        if real is not None:
            real.build(lambda hu, pixel: segment(network, hu, pixel), _teller(say, "slices segmented"), share)
        digital = None
        if numbers.digital_share and numbers.patients:
            digital = DigitalPatients(self._bank, numbers.patients)
            digital.build(_teller(say, "digital patients"), share)
        fabric.barrier()
        if digital is not None:
            _ = digital.occurring  # once, before loader processes would each read every label
        return WordedCrops(real, digital, numbers.digital_share, numbers.side, self._choose(network), numbers.seed)

    def _choose(self, network: anatomy.Anatomy) -> Choose:
        layers = self._recipe.numbers.layers
        thresholds = relevance.THRESHOLDS if layers == len(relevance.THRESHOLDS) else spaced(layers)
        if self._clip is not None:
            judge = ClipRelevance(self._words, self._clip)
            return lambda hu, classes, pixel: relevance.candidate_pools(judge.scores(hu, pixel), thresholds)
        relevant = relevance.AnatomyRelevance(network, self._words)
        return lambda hu, classes, pixel: relevance.candidate_pools(relevant.scores_of(classes, pixel), thresholds)


def spaced(layers: int) -> list[float]:
    """Thresholds of another number of layers than the paper's three: evenly from its first to its last."""
    first, last = relevance.THRESHOLDS[0], relevance.THRESHOLDS[-1]
    return [last + (first - last) * (layers - 1 - layer) / max(1, layers - 1) for layer in range(layers)]


def _check_data(numbers: AutoencoderNumbers, slices: int) -> None:
    if not slices and not (numbers.digital_share and numbers.patients):
        raise InvalidSetting("nothing to train on: give scans of normal dose with --data, or digital patients")
    if not numbers.side and numbers.digital_share:
        raise InvalidSetting("side=0 (whole slices): is for real slices; set digital_share=0, or a side")


def _fresh(recipe: AutoencoderRecipe, words: Vocabulary) -> Autoencoder:
    numbers = recipe.numbers
    codebook = guided.codebook(words, numbers.word_length)
    if numbers.learned_tokens:
        codebook = torch.randn(numbers.learned_tokens, codebook.shape[1]) * codebook.square().mean().sqrt()
    made = Autoencoder(recipe.size, codebook, numbers.layers, numbers.sharpness, learned=numbers.learned_tokens > 0)
    if numbers.side and (numbers.side % made.stride or numbers.side < made.smallest):
        raise InvalidSetting(f"side={numbers.side}: must be a multiple of {made.stride}, at least {made.smallest}")
    return made


def _go_on(made: Autoencoder, start: Path) -> str:
    """Takes over weights; returns their SHA-256. Raises InvalidSetting when they are of another autoencoder."""
    found = guided.load(start)
    old: dict[str, Tensor] = found.autoencoder.state_dict()
    if {name: value.shape for name, value in old.items()} != {n: v.shape for n, v in made.state_dict().items()}:
        raise InvalidSetting(
            f"{start}: is an autoencoder of size '{found.autoencoder.size}' with other words; start from one "
            "of the same recipe"
        )
    made.load_state_dict(old)
    return found.sha256


def _fingerprint(learn: Sequence[NormalSlice], check: Sequence[NormalSlice]) -> str:
    text = json.dumps([[f"{item.patient} {item.key}" for item in items] for items in (learn, check)])
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def _teller(say: Say, what: str) -> Callable[[int, int], None]:
    def tell(done: int, total: int) -> None:
        if done % 50 == 0 or done == total:
            say(f"{what}: {done}/{total}")

    return tell
