"""Installation of a user's own models: a file is checked, copied into the user's folder, and then found by name."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import torch

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting, OutputRefused
from lowdose.io.atomic import missing_parents, output_errors, remove_empty
from lowdose.io.atomic_replace import replace_file
from lowdose.models import checkpoint, model_info, noise_retention
from lowdose.models.checkpoint import DenoiserCheckpoint
from lowdose.models.classical import CLASSICAL
from lowdose.models.noise_retention import NoiseTarget
from lowdose.models.training_domain import SeriesMeasurements
from lowdose.weights import files, user_models
from lowdose.weights.identity import model_name, shipped_weights

KIND = "denoiser"
OPTION_OF_KIND = {"anatomy": "--segmenter", "autoencoder": "--autoencoder", "vocabulary": "--vocabulary"}
"""Option that takes the path of a weights file of another kind."""

SIDE, TISSUE, NOISE_SD = 64, 40.0, 20.0
"""Side in pixels, mean in HU and noise SD in HU of the slices that a new model is tested on."""

EDGE, MAX_CHANGE_HU = 16, 1.0
"""Largest change in HU of a constant slice, further than EDGE pixels from its border.

At the border the zero padding of the convolutions changes the result by a few HU with every network.
"""


def install_model(file: Path, name: str | None = None) -> str:
    """Install the denoiser in ``file`` under ``name`` and return the name; by default that of the file or run folder.

    A model card beside the file (same name with the suffix .md, or card.md) is installed with it. Raises
    IncompatibleCheckpoint for a file that is not a sound denoiser, InvalidSetting for a name that is invalid or taken,
    OutputRefused if the folder cannot be written. A failed installation leaves nothing behind.
    """
    content, card = _read_checked(file)
    chosen = model_name(file) if name is None else name
    _check_name(chosen)
    with _locked_index() as known:
        entry = _entry(content)
        _refuse_taken(chosen, known.get(chosen, entry) == entry)
        paths = user_models.weights_path(chosen), user_models.card_path(chosen)
        created = [path for path in paths if not path.exists()]
        try:
            replace_file(user_models.weights_path(chosen), content)
            if card is not None:
                replace_file(user_models.card_path(chosen), card)
            elif chosen not in known:  # a card found there belongs to another model
                user_models.card_path(chosen).unlink(missing_ok=True)
            _write(known | {chosen: entry})
        except BaseException:
            for path in created:
                path.unlink(missing_ok=True)
            raise
    return chosen


def check_name(name: str, file: Path) -> None:
    """Raise InvalidSetting where ``file``, which need not be there yet, could not be installed under ``name``."""
    _check_name(name)
    known = user_models.read_index()
    _refuse_taken(name, name not in known or (file.is_file() and known[name] == _entry(file.read_bytes())))


def uninstall_model(name: str) -> None:
    """Remove an added model, its file and its card. Raises InvalidSetting if there is no added model of this name."""
    with _locked_index() as known:
        if name not in known:
            what = f"'{name}' comes with lowdose" if name in _builtin_names() else f"no added model '{name}'"
            added = ", ".join(sorted(known)) or "none"
            raise InvalidSetting(f"{what}: only added models can be removed, and these are there: {added}")
        _write({other: entry for other, entry in known.items() if other != name})
        for path in (user_models.weights_path(name), user_models.card_path(name)):
            with output_errors(path):
                path.unlink(missing_ok=True)


def check_denoises(model: DenoiserCheckpoint, named: str) -> None:
    """Test a denoiser on a noisy and on a constant slice; ``named`` is its name in messages.

    Raises IncompatibleCheckpoint if the result for noisy tissue is NaN or infinite, or if a constant slice changes by
    more than ``MAX_CHANGE_HU`` away from its border.
    """
    flat = torch.full((1, 2 * model.denoiser.context + 1, SIDE, SIDE), TISSUE)
    noise = torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    if not model.denoiser.denoise(flat + NOISE_SD * noise).isfinite().all():
        raise IncompatibleCheckpoint(f"{named}: gives NaN or infinity for a slice of noise; train it again")
    inner = (model.denoiser.denoise(flat) - TISSUE)[..., EDGE:-EDGE, EDGE:-EDGE]
    # As in use: a model of the noise-free image keeps a share of its input, the largest one where there is no noise.
    change = float(inner.abs().max()) * (
        1 - noise_retention.retained_share(NoiseTarget(), SeriesMeasurements(0.0, None, None, None))
        if model.denoiser.noise_free
        else 1
    )
    if not change <= MAX_CHANGE_HU:  # also true for NaN
        raise IncompatibleCheckpoint(
            f"{named}: changes a constant slice of {TISSUE:g} HU by {change:.3g} HU, allowed is {MAX_CHANGE_HU:g}: "
            "it would draw structure where there is none; train it longer"
        )


def _read_checked(file: Path) -> tuple[bytes, bytes | None]:
    """Check that a file is a sound denoiser; return its content and that of its card, if any."""
    if not file.exists():
        raise IncompatibleCheckpoint(f"{file}: no such file; 'lowdose train' writes model.safetensors into its folder")
    weights = files.read_weights(file)
    kind = model_info.read_model_info(weights, str(file)).kind
    if kind != KIND:
        raise IncompatibleCheckpoint(
            f"{file}: its kind is '{kind}', and only denoisers are added by name; give its path where it is used "
            f"({OPTION_OF_KIND[kind]} {file})"
        )
    check_denoises(checkpoint.load_denoiser(str(file)), str(file))
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != weights.sha256:
        raise IncompatibleCheckpoint(f"{file}: changed while it was read; add it when its training has ended")
    card = model_info.find_card(file)
    return content, card.read_bytes() if card else None


def _builtin_names() -> set[str]:
    """Return the names of shipped weights and classical filters, which an added model cannot have."""
    return {*shipped_weights(), *CLASSICAL}


def _check_name(name: str) -> None:
    """Raise InvalidSetting for a name that is invalid, proposing a similar valid one, or that is built in."""
    if not user_models.is_valid_name(name):
        proposed = re.sub("[^a-z0-9_-]+", "_", name.lower()).strip("_-")[:64]
        hint = f", for example --name {proposed}" if user_models.is_valid_name(proposed) else ""
        raise InvalidSetting(f"'{name}' cannot name a model: {user_models.NAME_RULE}; give another --name{hint}")
    if name in _builtin_names():
        raise InvalidSetting(f"'{name}': a model that comes with lowdose is called so; give another --name")


def _entry(content: bytes) -> dict[str, str]:
    """Return what the index states of a model with this content."""
    return {"kind": KIND, "sha256": hashlib.sha256(content).hexdigest()}


def _refuse_taken(name: str, free: bool) -> None:
    if not free:
        raise InvalidSetting(
            f"'{name}': a different model is installed under this name; give another --name, or remove it: "
            f"'lowdose models remove {name}'"
        )


def _write(known: user_models.Index) -> None:
    """Replace the index of added models atomically."""
    text = json.dumps(dict(sorted(known.items())), indent=2) + "\n"
    replace_file(user_models.models_folder() / user_models.INDEX, text.encode())


@contextmanager
def _locked_index() -> Iterator[user_models.Index]:
    """Yield the index of added models while the folder is locked against other processes.

    The folder is created if necessary; created folders that are still empty at the end are removed. Raises
    OutputRefused, with a remedy, if the folder cannot be written.
    """
    folder = user_models.models_folder()
    created = [path for path in (folder, *missing_parents(folder)) if not path.exists()]
    try:
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder, os.O_RDONLY)
        try:
            # Some network file systems have no locks: there, one of two models added at the same time may be lost.
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield user_models.read_index()
        finally:
            os.close(lock)
    except OutputRefused as error:
        raise OutputRefused(f"{error}; set {user_models.FOLDER_VARIABLE} to a folder that you can write") from error
    finally:
        remove_empty(created)
