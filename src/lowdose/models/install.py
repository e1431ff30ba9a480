"""Models that the user adds: checked whole, copied into the user's folder, and found by name from then on."""

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
from lowdose.weights import files, user_models

KIND = "denoiser"
INSTEAD = {"anatomy": "--segmenter", "autoencoder": "--autoencoder", "vocabulary": "--vocabulary"}
"""Where a file of another kind is given by its path."""

SIDE, TISSUE, NOISE_SD = 64, 40.0, 20.0
"""Pixels and HU of the slices that a new model is tried on."""
EDGE, MOST = 16, 1.0
"""HU by which a constant slice may change, further than EDGE pixels from its border: at the border the convolutions'
zeros show, by some HU with every network."""


def install_model(file: Path, name: str | None = None) -> str:
    """Make the denoiser in ``file`` known by ``name``; returns the name, which else is that of the file or run folder.

    A card beside it (same name with the suffix .md, or card.md) goes along. Raises IncompatibleCheckpoint for a file
    that is no sound denoiser, InvalidSetting for a name that cannot be had, OutputRefused where nothing can be
    written. What cannot be added leaves nothing behind.
    """
    content, card = _checked(file)
    chosen = checkpoint.model_name(file) if name is None else name
    _check_name(chosen)
    with _alone() as known:
        entry = {"kind": KIND, "sha256": hashlib.sha256(content).hexdigest()}
        if known.get(chosen, entry) != entry:
            raise InvalidSetting(
                f"'{chosen}': an added model of this name has other content; give another --name, or take that one "
                f"away: 'lowdose models remove {chosen}'"
            )
        made = [path for path in (user_models.weights_path(chosen), user_models.card_path(chosen)) if not path.exists()]
        try:
            replace_file(user_models.weights_path(chosen), content)
            if card is not None:
                replace_file(user_models.card_path(chosen), card)
            elif chosen not in known:  # a card that lies there is of another model
                user_models.card_path(chosen).unlink(missing_ok=True)
            _write(known | {chosen: entry})
        except BaseException:
            for path in made:
                path.unlink(missing_ok=True)
            raise
    return chosen


def uninstall_model(name: str) -> None:
    """Forget an added model and remove its file and card. Raises InvalidSetting when none is called so."""
    with _alone() as known:
        if name not in known:
            what = f"'{name}' comes with lowdose" if name in _given() else f"no added model '{name}'"
            own = ", ".join(sorted(known)) or "none"
            raise InvalidSetting(f"{what}: only added models can be removed, and these are there: {own}")
        _write({other: entry for other, entry in known.items() if other != name})
        for path in (user_models.weights_path(name), user_models.card_path(name)):
            with output_errors(path):
                path.unlink(missing_ok=True)


def check_denoises(model: DenoiserCheckpoint, named: str) -> None:
    """Let a denoiser do what it is for, once. Raises IncompatibleCheckpoint for one that gives NaN or infinity for a
    slice of noisy tissue, or changes a constant one by more than ``MAX_SHARE`` HU away from its border.
    """
    flat = torch.full((1, 2 * model.denoiser.context + 1, SIDE, SIDE), TISSUE)
    noise = torch.randn(flat.shape, generator=torch.Generator().manual_seed(0))
    if not model.denoiser.denoise(flat + NOISE_SD * noise).isfinite().all():
        raise IncompatibleCheckpoint(f"{named}: gives NaN or infinity for a slice of noise; train it anew")
    inner = (model.denoiser.denoise(flat) - TISSUE)[..., EDGE:-EDGE, EDGE:-EDGE]
    # As it will be applied: of an image without noise most is kept.
    change = float(inner.abs().max()) * (
        1 - noise_retention.retained_share(0.0, None) if model.denoiser.noise_free else 1
    )
    if not change <= MOST:  # NaN too
        raise IncompatibleCheckpoint(
            f"{named}: changes a constant slice of {TISSUE:g} HU by {change:.3g} HU, allowed is {MOST:g}: "
            "it would draw structure where there is none; train it longer"
        )


def _checked(file: Path) -> tuple[bytes, bytes | None]:
    """The content of a sound denoiser's file and of its card."""
    if not file.exists():
        raise IncompatibleCheckpoint(f"{file}: no such file; 'lowdose train' writes model.safetensors into its folder")
    found = files.read_weights(file)
    kind = model_info.read_model_info(found, str(file)).kind
    if kind != KIND:
        raise IncompatibleCheckpoint(
            f"{file}: its kind is '{kind}', and only denoisers are added by name; give its path where it is used "
            f"({INSTEAD[kind]} {file})"
        )
    check_denoises(checkpoint.load_denoiser(str(file)), str(file))
    content = file.read_bytes()
    if hashlib.sha256(content).hexdigest() != found.sha256:
        raise IncompatibleCheckpoint(f"{file}: changed while it was read; add it when its training has ended")
    beside = model_info.find_card(file)
    return content, beside.read_bytes() if beside else None


def _given() -> set[str]:
    return {*files.shipped_weights(), *CLASSICAL}


def _check_name(name: str) -> None:
    if not user_models.is_valid_name(name):
        proposed = re.sub("[^a-z0-9_-]+", "_", name.lower()).strip("_-")[:64]
        hint = f", for example --name {proposed}" if user_models.is_valid_name(proposed) else ""
        raise InvalidSetting(f"'{name}' cannot name a model: {user_models.NAME_RULE}; give another --name{hint}")
    if name in _given():
        raise InvalidSetting(f"'{name}': a model that comes with lowdose is called so; give another --name")


def _write(known: user_models.Index) -> None:
    text = json.dumps(dict(sorted(known.items())), indent=2) + "\n"
    replace_file(user_models.models_folder() / user_models.INDEX, text.encode())


@contextmanager
def _alone() -> Iterator[user_models.Index]:
    """The index, in a folder that is there and that no other process changes; folders made are removed when empty.

    Raises OutputRefused with the way out where the folder cannot be written.
    """
    folder = user_models.models_folder()
    made = [path for path in (folder, *missing_parents(folder)) if not path.exists()]
    try:
        with output_errors(folder):
            folder.mkdir(parents=True, exist_ok=True)
            lock = os.open(folder, os.O_RDONLY)
        try:
            # Some network file systems know no locks: there two runs at once may forget one of two models.
            with suppress(OSError):
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield user_models.read_index()
        finally:
            os.close(lock)
    except OutputRefused as error:
        raise OutputRefused(f"{error}; set {user_models.FOLDER_VARIABLE} to a folder that you can write") from error
    finally:
        remove_empty(made)
