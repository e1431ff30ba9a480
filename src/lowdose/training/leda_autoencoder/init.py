"""Preparation of a training of LEDA's autoencoder: patient split, initial weights, and checks of image sizes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.data.pairs import split_by_patient
from lowdose.errors import InvalidSetting
from lowdose.language import autoencoder_file
from lowdose.language.cell_words import CellWords
from lowdose.language.vocabulary import Vocabulary
from lowdose.networks.autoencoder import Autoencoder
from lowdose.training.leda_autoencoder.recipe import AutoencoderHyperparameters, AutoencoderRecipe


def split_patients(
    items: Sequence[NormalDoseSlice], held_out: int
) -> tuple[list[NormalDoseSlice], list[NormalDoseSlice]]:
    """Split as ``split_by_patient`` does, or return two empty lists when only digital patients are trained on."""
    return split_by_patient(items, held_out) if items else ([], [])


def new_autoencoder(recipe: AutoencoderRecipe, words: Vocabulary) -> Autoencoder:
    """Build an untrained autoencoder, with the words as codebook or, for ``learned_tokens`` > 0, with a learned one."""
    hyperparameters = recipe.hyperparameters
    codebook = autoencoder_file.scaled_codebook(words, hyperparameters.word_length)
    if hyperparameters.learned_tokens:
        codebook = torch.randn(hyperparameters.learned_tokens, codebook.shape[1]) * codebook.square().mean().sqrt()
    made = Autoencoder(
        recipe.size,
        codebook,
        hyperparameters.layers,
        hyperparameters.sharpness,
        learned=hyperparameters.learned_tokens > 0,
    )
    if made.organ_words is not None and not hyperparameters.learned_tokens:
        made.organ_words.set_words(CellWords(words).class_embeddings(codebook, len(made.organ_words.parts)))
    return made


def continue_from(made: Autoencoder, start: Path) -> str:
    """Load the weights of the file ``start`` into ``made`` and return the SHA-256 of the file.

    Raises InvalidSetting when they belong to another autoencoder. Words are compared as well: they are not among the
    weights, so weights for another vocabulary would load without an error.
    """
    loaded = autoencoder_file.load_autoencoder(start)
    weights: dict[str, Tensor] = loaded.autoencoder.state_dict()
    fits = {name: value.shape for name, value in weights.items()} == {n: v.shape for n, v in made.state_dict().items()}
    same_words = made.quantiser.learned or (fits and _same_words(loaded.autoencoder, made))
    if not fits or not same_words:
        raise InvalidSetting(
            f"{start}: is an autoencoder of size '{loaded.autoencoder.size}' with "
            f"{'other words' if fits else 'other weights'}; start from one of the same recipe"
        )
    if made.quantiser.learned and loaded.autoencoder.sharpness != made.sharpness:
        raise InvalidSetting(
            f"{start}: its codebook was learned with sharpness={loaded.autoencoder.sharpness:g}, now it is "
            f"{made.sharpness:g}; set the same"
        )
    made.load_state_dict(weights)
    return loaded.sha256


def _same_words(one: Autoencoder, other: Autoencoder) -> bool:
    a, b = one.codebook, other.codebook
    return a.shape == b.shape and torch.allclose(a, b, rtol=1e-5, atol=1e-6 * float(a.abs().max()))


def check_sizes(
    hyperparameters: AutoencoderHyperparameters,
    made: Autoencoder,
    least: int,
    learn: Sequence[NormalDoseSlice],
    check: Sequence[NormalDoseSlice],
) -> None:
    """Raise InvalidSetting if there is nothing to train on, or if images have a size that ``made`` cannot process.

    least: smallest height and width, in pixels, that the losses accept.
    """
    if not learn and not (hyperparameters.digital_share and hyperparameters.patients):
        raise InvalidSetting(
            "nothing to train on: give scans of normal dose with --data, or digital patients (digital_share, patients)"
        )
    if not hyperparameters.side and hyperparameters.digital_share:
        raise InvalidSetting("side=0 (whole slices): is for real slices; set digital_share=0, or a side")
    stride, least = made.stride, max(least, made.smallest)
    if hyperparameters.side and (hyperparameters.side % stride or hyperparameters.side < least):
        raise InvalidSetting(f"side={hyperparameters.side}: must be a multiple of {stride}, at least {least}, or 0")
    if not hyperparameters.side:
        _check_whole_slices(hyperparameters, stride, least, learn)
    for item in check:
        if min(item.shape) < made.smallest:
            raise InvalidSetting(
                f"{item.series}: slices of {_size(item.shape)} pixels are too small for validation; the autoencoder "
                f"needs {made.smallest} a side; leave that patient out, or --set validation_patients=0"
            )


def _check_whole_slices(
    hyperparameters: AutoencoderHyperparameters, stride: int, least: int, learn: Sequence[NormalDoseSlice]
) -> None:
    """Raise InvalidSetting unless whole slices can be trained on as they are."""
    shapes = sorted({item.shape for item in learn})
    for shape in shapes:
        if min(shape) < least or any(length % stride for length in shape):
            raise InvalidSetting(
                f"side=0 (whole slices): a slice has {_size(shape)} pixels; sides must be multiples of {stride}, at "
                f"least {least}; leave it out, or set a side"
            )
    if len(shapes) > 1 and hyperparameters.batch > 1:
        raise InvalidSetting(
            f"side=0 (whole slices): there are slices of {_size(shapes[0])} and of {_size(shapes[-1])} pixels, which "
            "make no batch; set batch=1, or a side"
        )


def _size(shape: tuple[int, int]) -> str:
    return f"{shape[0]} x {shape[1]}"
