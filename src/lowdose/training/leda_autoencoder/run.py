"""Training run of LEDA's autoencoder on normal-dose scans and digital patients."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

from lightning_fabric import Fabric

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
from lowdose.training.hooks import Progress
from lowdose.training.leda_autoencoder.data import (
    candidate_chooser,
    cell_word_chooser,
    digital_slices,
    real_slices,
    training_crops,
)
from lowdose.training.leda_autoencoder.init import check_sizes, continue_from, new_autoencoder, split_patients
from lowdose.training.leda_autoencoder.recipe import AutoencoderRecipe
from lowdose.training.leda_autoencoder.validation import validate_reconstruction, validate_texture
from lowdose.training.runner import RunOptions, Say, TrainingStage, loader_workers, run_training
from lowdose.version import __version__

BANK, SEGMENTED = "digital-patients", "segmented"


def train_autoencoder(
    name: str,
    recipe: AutoencoderRecipe,
    items: Sequence[NormalDoseSlice],
    run: Path,
    options: RunOptions,
    say: Say,
    progress: Progress,
    words: Vocabulary | None = None,
    bank: Path | None = None,
    start: Path | None = None,
    clip: str | None = None,
) -> bool:
    """Train in the folder ``run`` on ``items`` and on digital patients; True when complete, False when stopped early.

    say: receives messages. progress: see ``hooks.Progress``. words: another vocabulary than the shipped
    one. bank: folder of the digital patients, by default in ``run``. start: autoencoder file with initial weights.
    clip: folder or hub name of a CLIP model, which then chooses the words that fit an image, as in the paper, instead
    of the anatomy network. Raises what ``run_training`` raises, and InvalidSetting when no patient would be left to
    train on.
    """
    return run_training(
        lambda: _AutoencoderJob(
            name, recipe, items, words or vocabulary.load_vocabulary(), bank or run / BANK, start, clip
        ),
        recipe.hyperparameters, run, options, say, progress,
    )  # fmt: skip


class _AutoencoderJob:
    """The job of training LEDA's autoencoder; see ``runner.TrainingJob``."""

    def __init__(
        self, name: str, recipe: AutoencoderRecipe, items: Sequence[NormalDoseSlice], words: Vocabulary, bank: Path,
        start: Path | None, clip: str | None,
    ) -> None:  # fmt: skip
        hyperparameters = recipe.hyperparameters
        self._recipe, self._bank, self._words = recipe, bank, words
        self._training, self._validation = split_patients(items, hyperparameters.validation_patients)
        self._autoencoder, start_sha256 = new_autoencoder(recipe, words), None
        perceptual = Perceptual(load_features(recipe.features), recipe.features)
        check_sizes(
            hyperparameters, self._autoencoder, max(perceptual.smallest, SMALLEST), self._training, self._validation
        )
        self._anatomy, self._anatomy_sha256 = anatomy.read_anatomy()
        self._clip = None if clip is None else load_clip(clip)
        self._anatomy_relevance = AnatomyRelevance(self._anatomy, words) if clip is None else None
        if start is not None:
            start_sha256 = continue_from(self._autoencoder, start)
        channels_last(self._autoencoder)
        discriminator = patch_gan(hyperparameters.discriminator_width)
        self.method = GuidedAutoencoder(self._autoencoder, discriminator, perceptual, hyperparameters.weights)
        self.settings: dict[str, object] = {
            "recipe": name,
            "size": recipe.size,
            "features": recipe.features,
            "vocabulary": words.sha256,
            "clip_model": None if self._clip is None else self._clip.fingerprint(),
            "data": fingerprint(self._training, self._validation),
            "start": start_sha256,
            **asdict(hyperparameters),
        }
        self.description: dict[str, object] = {
            "paper": recipe.paper,
            "words": words.provenance,
            "training": {"slices": len(self._training), "patients": len({i.patient for i in self._training})},
            "validation": {"slices": len(self._validation), "patients": len({i.patient for i in self._validation})},
        }

    def stage(self, run: Path, fabric: Fabric, say: Say) -> TrainingStage:
        """Segment the real slices, build the digital patients, and return the callbacks of the training loop."""
        hyperparameters, autoencoder, words = self._recipe.hyperparameters, self._autoencoder, self._words
        crops = self._crops(run, fabric, say)

        def batches(first: int, last: int) -> Iterator[CandidateTokenBatch]:
            workers = loader_workers(fabric.device.type == "cuda")
            return candidate_token_batches(
                crops, hyperparameters.batch, first, last, fabric.global_rank, fabric.world_size, workers
            )

        held_out = self._validation if fabric.is_global_zero else []
        metadata = {
            **self.settings,
            "paper": self._recipe.paper,
            "lowdose": __version__,
            "slices": len(self._training),
            "processes": fabric.world_size,
        }

        def export(path: Path, step: int, steps: int) -> None:
            vocabulary_in_file = None if hyperparameters.learned_tokens else words
            replace_file(
                path,
                autoencoder_file.serialise_autoencoder(
                    autoencoder,
                    vocabulary_in_file,
                    hyperparameters.word_length,
                    {**metadata, "step": step, "steps": steps},
                ),
            )

        def validate() -> Mapping[str, float]:
            figures = validate_reconstruction(autoencoder, held_out)
            return {**figures, **validate_texture(autoencoder)} if figures else {}

        return TrainingStage(batches, validate, export)

    def _crops(self, run: Path, fabric: Fabric, say: Say) -> CandidateTokenCrops:
        hyperparameters = self._recipe.hyperparameters
        real = real_slices(
            run / SEGMENTED,
            self._training,
            self._anatomy,
            self._anatomy_sha256,
            fabric,
            say,
            bool(hyperparameters.noisy),
        )
        digital = digital_slices(self._bank, hyperparameters, fabric, say)
        fabric.barrier()
        choose = candidate_chooser(self._relevance(), hyperparameters.layers)
        cells = None
        if hyperparameters.cell_words:
            cells = cell_word_chooser(self._words, self._autoencoder, hyperparameters.side)
        return training_crops(real, digital, hyperparameters, choose, cells, self._autoencoder.stride)

    def _relevance(self) -> AnatomyRelevance | ClipRelevance:
        """Return the relevance of words; that of CLIP is built late, because embedding its prompts can take minutes."""
        if self._clip is not None:
            return ClipRelevance(self._words, self._clip)
        assert self._anatomy_relevance is not None
        return self._anatomy_relevance
