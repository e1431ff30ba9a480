"""The training of LEDA's autoencoder from scans of normal dose and digital patients to weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from lightning_fabric import Fabric

import lowdose
from lowdose.batch import CandidateTokenBatch
from lowdose.data.labelled.candidate_tokens import CandidateTokenCrops, candidate_token_batches
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.data.pairs import fingerprint
from lowdose.io.atomic_replace import replace_file
from lowdose.language import autoencoder_file, vocabulary
from lowdose.language.clip import ClipRelevance
from lowdose.language.clip_model import load_clip
from lowdose.language.relevance import AnatomyRelevance
from lowdose.language.vocabulary import Vocabulary
from lowdose.methods.autoencoder import GuidedAutoencoder
from lowdose.networks import anatomy
from lowdose.networks.denoiser import channels_last
from lowdose.networks.discriminator import SMALLEST, patch_gan
from lowdose.networks.features.registry import load_features
from lowdose.objectives.perceptual import Perceptual
from lowdose.training.leda_autoencoder.data import candidate_chooser, digital_slices, real_slices, training_crops
from lowdose.training.leda_autoencoder.init import check_sizes, continue_from, new_autoencoder, split_patients
from lowdose.training.leda_autoencoder.recipe import AutoencoderRecipe
from lowdose.training.leda_autoencoder.validation import validate_reconstruction
from lowdose.training.runner import RunOptions, Say, TrainingStage, loader_workers, run_training

BANK, SEGMENTED = "digital-patients", "segmented"


def train_autoencoder(
    name: str,
    recipe: AutoencoderRecipe,
    items: Sequence[NormalDoseSlice],
    run: Path,
    options: RunOptions,
    say: Say,
    progress: Callable[[int, float, float], None],
    words: Vocabulary | None = None,
    bank: Path | None = None,
    start: Path | None = None,
    clip: str | None = None,
) -> bool:
    """Train in the folder ``run`` on ``items`` and on digital patients, kept in ``bank``.

    words: another vocabulary than the shipped one. clip: a model's folder or hub name, to say which words fit an image
    as the paper has it, instead of the anatomy network. start: an autoencoder to go on from. See ``run_training`` for what
    it returns and raises; InvalidSetting besides when no patient would be left to train on.
    """
    return run_training(
        lambda: _Reading(name, recipe, items, words or vocabulary.load_vocabulary(), bank or run / BANK, start, clip),
        recipe.hyperparameters, run, options, say, progress,
    )  # fmt: skip


class _Reading:
    """The job of training an autoencoder to read."""

    def __init__(
        self, name: str, recipe: AutoencoderRecipe, items: Sequence[NormalDoseSlice], words: Vocabulary, bank: Path,
        start: Path | None, clip: str | None,
    ) -> None:  # fmt: skip
        hyperparameters = recipe.hyperparameters
        self._recipe, self._bank, self._words = recipe, bank, words
        self._learn, self._check = split_patients(items, hyperparameters.validation_patients)
        self._autoencoder, begun = new_autoencoder(recipe, words), None
        perceptual = Perceptual(load_features(recipe.features), recipe.features)
        check_sizes(hyperparameters, self._autoencoder, max(perceptual.smallest, SMALLEST), self._learn, self._check)
        self._network, self._sha256 = anatomy.read_anatomy()
        self._clip = None if clip is None else load_clip(clip)
        self._judge = AnatomyRelevance(self._network, words) if clip is None else None
        if start is not None:
            begun = continue_from(self._autoencoder, start)
        channels_last(self._autoencoder)
        discriminator = patch_gan(hyperparameters.discriminator_width)
        self.method = GuidedAutoencoder(self._autoencoder, discriminator, perceptual, hyperparameters.weights)
        self.settings: dict[str, object] = {
            "recipe": name,
            "size": recipe.size,
            "features": recipe.features,
            "vocabulary": words.sha256,
            "clip_model": None if self._clip is None else self._clip.fingerprint(),
            "data": fingerprint(self._learn, self._check),
            "start": begun,
            **asdict(hyperparameters),
        }
        self.description: dict[str, object] = {
            "paper": recipe.paper,
            "words": words.provenance,
            "training": {"slices": len(self._learn), "patients": len({i.patient for i in self._learn})},
            "validation": {"slices": len(self._check), "patients": len({i.patient for i in self._check})},
        }

    def stage(self, run: Path, fabric: Fabric, say: Say) -> TrainingStage:
        hyperparameters, made, words = self._recipe.hyperparameters, self._autoencoder, self._words
        made_of = self._crops(run, fabric, say)

        def feed(first: int, last: int) -> Iterator[CandidateTokenBatch]:
            workers = loader_workers(fabric.device.type == "cuda")
            return candidate_token_batches(
                made_of, hyperparameters.batch, first, last, fabric.global_rank, fabric.world_size, workers
            )

        judged = self._check if fabric.is_global_zero else []
        facts = {
            **self.settings,
            "paper": self._recipe.paper,
            "lowdose": lowdose.__version__,
            "slices": len(self._learn),
            "processes": fabric.world_size,
        }

        def export(path: Path, step: int) -> None:
            own = None if hyperparameters.learned_tokens else words
            replace_file(
                path,
                autoencoder_file.serialise_autoencoder(made, own, hyperparameters.word_length, {**facts, "step": step}),
            )

        return TrainingStage(feed, lambda: validate_reconstruction(made, judged), export)

    def _crops(self, run: Path, fabric: Fabric, say: Say) -> CandidateTokenCrops:
        hyperparameters = self._recipe.hyperparameters
        real = real_slices(run / SEGMENTED, self._learn, self._network, self._sha256, fabric, say)
        digital = digital_slices(self._bank, hyperparameters, fabric, say)
        fabric.barrier()
        return training_crops(
            real, digital, hyperparameters, candidate_chooser(self._relevance(), hyperparameters.layers)
        )

    def _relevance(self) -> AnatomyRelevance | ClipRelevance:
        """Made late with CLIP: embedding its prompts can take minutes."""
        if self._clip is not None:
            return ClipRelevance(self._words, self._clip)
        assert self._judge is not None
        return self._judge
