"""Pairings by name: those of the package, of installed packages, and of a recipe file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lowdose import plugins
from lowdose.data.noise_bank.build import Calibrate
from lowdose.errors import InvalidSetting
from lowdose.training.pairing import FolderPairing, NoPairing, Pairing
from lowdose.training.recipe import DenoiserHyperparameters
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
    """

    hyperparameters: DenoiserHyperparameters
    calibrate: Calibrate
    calibration: str
    bank: Path | None = None


MakePairing = Callable[[PairingOptions], Pairing]


def _without_bank(make: Callable[[], Pairing], options: PairingOptions) -> Pairing:
    if options.bank is not None:
        raise InvalidSetting(f"--bank {options.bank}: is for --pairing simulated")
    return make()


PAIRINGS: dict[str, MakePairing] = {
    "folders": lambda options: _without_bank(FolderPairing, options),
    "simulated": lambda options: SimulatedPairing(options.calibrate, options.calibration, options.bank),
    "none": lambda options: _without_bank(NoPairing, options),
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
