"""Pairings by name: those of the package, of installed packages, and of a recipe file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from lowdose import plugins
from lowdose.data.noise_bank.build import Calibrate
from lowdose.errors import InvalidSetting
from lowdose.networks.noise_vae import read_noise_model
from lowdose.training.learned_noise.added_noise import AddedNoise, GaussianNoise, LearnedNoise, PoissonNoise
from lowdose.training.learned_noise.pairing import NoisyPairing
from lowdose.training.pairing import FolderPairing, NoPairing, Pairing
from lowdose.training.recipe import GAUSSIAN, LEARNED, NOISY, POISSON, DenoiserHyperparameters
from lowdose.training.simulated_pairing import SimulatedPairing


@dataclass(frozen=True)
class PairingOptions:
    """What a pairing is made with.

    Attributes
    ----------
    hyperparameters : DenoiserHyperparameters
        Those of the run.
    calibrate, calibration : Calibrate, str
        Function that estimates how the slices of a series were scanned, and the name of its rule.
    bank : Path or None
        Folder in which it may keep something for other runs; None = it may use the run folder.
    noise : Path or None
        File or run folder of a noise model.
    """

    hyperparameters: DenoiserHyperparameters
    calibrate: Calibrate
    calibration: str
    bank: Path | None = None
    noise: Path | None = None


MakePairing = Callable[[PairingOptions], Pairing]


def _simple(make: Callable[[], Pairing], options: PairingOptions) -> Pairing:
    """Make a pairing that takes no options. Raises InvalidSetting where one was given."""
    _refuse_bank(options)
    _refuse_noise(options)
    return make()


def _simulated(options: PairingOptions) -> Pairing:
    _refuse_noise(options)
    return SimulatedPairing(options.calibrate, options.calibration, options.bank)


def _noisy(name: str, options: PairingOptions) -> Pairing:
    """Make a pairing with the noise of a model, or of its strength. Raises InvalidSetting without a model."""
    _refuse_bank(options)
    if options.noise is None:
        raise InvalidSetting(
            f"--pairing {name}: needs a noise model, --noise NOISE, or the low-dose scans whose noise to learn first, "
            "--low LOWDOSE; where there are pairs of scans, give --pairing folders"
        )
    decoder, sha256 = read_noise_model(options.noise)
    kinds: dict[str, AddedNoise] = {
        LEARNED: LearnedNoise(decoder),
        GAUSSIAN: GaussianNoise(float(decoder.sd)),
        POISSON: PoissonNoise(float(decoder.sd)),
    }
    return NoisyPairing(name, kinds[name], sha256)


def _refuse_bank(options: PairingOptions) -> None:
    if options.bank is not None:
        raise InvalidSetting(f"--bank {options.bank}: is for --pairing simulated")


def _refuse_noise(options: PairingOptions) -> None:
    if options.noise is not None:
        raise InvalidSetting(f"--noise {options.noise}: is for --pairing {', '.join(NOISY)}")


PAIRINGS: dict[str, MakePairing] = {
    "folders": partial(_simple, FolderPairing),
    "simulated": _simulated,
    "none": partial(_simple, NoPairing),
    **{name: partial(_noisy, name) for name in NOISY},
}
"""Registered pairings; ``make_pairing`` adds those of installed packages when they are needed."""


def register_pairing(name: str) -> Callable[[MakePairing], MakePairing]:
    """Return a decorator that registers a function from ``PairingOptions`` to a ``Pairing`` under ``name``."""

    def register(make: MakePairing) -> MakePairing:
        PAIRINGS[name] = make
        return make

    return register


def pairing_names() -> list[str]:
    """List the names of all pairings, those of installed packages too, sorted."""
    return sorted({*PAIRINGS, *plugins.plugin_names(plugins.PAIRINGS)})


def make_pairing(name: str, options: PairingOptions) -> Pairing:
    """Make the pairing called ``name``; one of an installed package is imported, which registers it.

    Raises InvalidSetting, listing the known ones, when there is none.
    """
    if name not in PAIRINGS:
        plugins.load_plugin(plugins.PAIRINGS, name)
    if name not in PAIRINGS:
        raise InvalidSetting(f"--pairing {name}: must be one of {', '.join(pairing_names())}")
    return PAIRINGS[name](options)
