"""Where a run gets low dose from: pairs of scans, or normal-dose scans and the dose simulator."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Protocol

import numpy as np
from lightning_fabric import Fabric

from lowdose.data.noise_bank.bank import NoiseBank
from lowdose.data.noise_bank.build import Calibrate, CalibratedSlice, build_noise_bank
from lowdose.data.noise_bank.plan import Plan, dose_levels, prepare_folder
from lowdose.data.pairs import PairedSlice
from lowdose.data.patch_source import SliceCache
from lowdose.data.patches import MARGIN, Patches
from lowdose.data.simulated import SimulatedSlice, SimulatedSlices, validation_pairs
from lowdose.data.slice_context import context_indices, trainable_indices
from lowdose.errors import LowDoseError, NothingToRead
from lowdose.training.recipe import DenoiserHyperparameters
from lowdose.training.validation import evenly_spaced

Say = Callable[[str], None]
SAY_EVERY_S = 10.0


class Pairing(Protocol):
    """Turns the items of a run into what is trained on and what is validated on. ``name``: as on the command line.

    context: neighbours on each side that a network sees besides a slice.
    """

    name: str

    def patches(
        self,
        learn: Sequence[PairedSlice],
        hyperparameters: DenoiserHyperparameters,
        context: int,
        run: Path,
        fabric: Fabric,
        say: Say,
    ) -> Patches:
        """Called by every process at the same time; only the first has a ``say`` that speaks."""
        ...

    def held_out(
        self, check: Sequence[PairedSlice], hyperparameters: DenoiserHyperparameters, context: int, say: Say
    ) -> list[list[PairedSlice]]:
        """A few of the slices, evenly spread, each amid its neighbours."""
        ...


class FolderPairing:
    """Pairs as they were scanned."""

    name = "folders"

    def patches(
        self,
        learn: Sequence[PairedSlice],
        hyperparameters: DenoiserHyperparameters,
        context: int,
        run: Path,
        fabric: Fabric,
        say: Say,
    ) -> Patches:
        return Patches(
            SliceCache(learn, context), hyperparameters.patch, hyperparameters.augmentation, hyperparameters.seed
        )

    def held_out(
        self, check: Sequence[PairedSlice], hyperparameters: DenoiserHyperparameters, context: int, say: Say
    ) -> list[list[PairedSlice]]:
        around = context_indices(check, context)
        return [[check[other] for other in around[place]] for place in evenly_spaced(trainable_indices(around))]


class SimulatedPairing:
    """Items are ``SimulatedSlice``; their noise comes from a bank in ``folder``, by default in that of the run.

    calibrate: how the slices of one series were scanned; ``rule`` names it, for a bank made by another one is refused.
    """

    name = "simulated"

    def __init__(self, calibrate: Calibrate, rule: str, folder: Path | None = None) -> None:
        self._calibrate, self._rule, self._folder = calibrate, rule, folder

    def patches(
        self,
        learn: Sequence[PairedSlice],
        hyperparameters: DenoiserHyperparameters,
        context: int,
        run: Path,
        fabric: Fabric,
        say: Say,
    ) -> Patches:
        items = _usable(_simulated(learn), hyperparameters, context, say)
        folder = self._folder or run / "noise-bank"
        plan = Plan(
            {item.key: item.normal.shape for item in items},
            hyperparameters.realisations,
            self._rule,
            dose_levels(hyperparameters.dose_low),
        )
        if fabric.is_global_zero:
            prepare_folder(folder, plan)
        normal = [item.normal for item in items]
        fabric.barrier()
        build_noise_bank(folder, normal, self._calibrate, (fabric.global_rank, fabric.world_size), BankProgress(say))
        fabric.barrier()
        build_noise_bank(folder, normal, self._calibrate)  # what another process could not finish
        bank = NoiseBank(folder)
        slices = SimulatedSlices(bank, items, hyperparameters.doses, context)
        _tell_left_out(bank, items, say)
        # The simulator sets the dose; a gain on top of it would only blur what dose means.
        augmentation = replace(hyperparameters.augmentation, gain_low=1.0, gain_high=1.0)
        return Patches(slices, hyperparameters.patch, augmentation, hyperparameters.seed)

    def held_out(
        self, check: Sequence[PairedSlice], hyperparameters: DenoiserHyperparameters, context: int, say: Say
    ) -> list[list[PairedSlice]]:
        items = _simulated(check)
        around = context_indices(items, context)
        wanted = {
            items[place].key: [items[other] for other in around[place]]
            for place in evenly_spaced(trainable_indices(around))
        }
        series: dict[str, list[SimulatedSlice]] = {}
        for item in items:
            series.setdefault(item.normal.series, []).append(item)
        chosen: list[list[tuple[SimulatedSlice, CalibratedSlice]]] = []
        for members in series.values():
            if not any(item.key in wanted for item in members):
                continue
            try:
                scans = self._calibrate([item.normal for item in members])
            except (LowDoseError, OSError) as error:
                say(f"warning: {error} (left out of validation)")
                continue
            exposed = {item.key: scan for item, scan in zip(members, scans, strict=True)}
            chosen += [[(one, exposed[one.key]) for one in wanted[item.key]] for item in members if item.key in wanted]
        pairs, told = validation_pairs(chosen, hyperparameters.seed)
        for text in told:
            say(f"warning: {text}")
        return pairs


class BankProgress:
    """Says how far a bank is, and how long it will take, every ten seconds."""

    def __init__(self, say: Say) -> None:
        self._say, self._started = say, time.monotonic()
        self._said = self._started

    def __call__(self, done: int, total: int) -> None:
        now = time.monotonic()
        if now - self._said < SAY_EVERY_S and done < total:
            return
        self._said = now
        left = int((now - self._started) * (total - done) / max(done, 1))
        self._say(f"noise bank: slice {done}/{total}  {left // 60} min {left % 60:02d} s left")


def _simulated(items: Sequence[PairedSlice]) -> list[SimulatedSlice]:
    return [item for item in items if isinstance(item, SimulatedSlice)]


def _usable(
    items: Sequence[SimulatedSlice], hyperparameters: DenoiserHyperparameters, context: int, say: Say
) -> list[SimulatedSlice]:
    """Those large enough for a patch; of these ``bank_slices`` at random by the seed, in their order."""
    side = hyperparameters.patch + 2 * MARGIN
    large = [item for item in items if min(item.normal.shape) >= side]
    if not large:
        raise NothingToRead(
            f"none of {len(items)} slices has {side} x {side} pixels, as patch={hyperparameters.patch} needs"
        )
    if len(large) < len(items):
        say(f"warning: {len(items) - len(large)} slices of less than {side} x {side} pixels are left out")
    if not 0 < hyperparameters.bank_slices < len(large):
        return large
    rng = np.random.default_rng(hyperparameters.seed)
    if context == 0:
        return [
            large[int(place)] for place in sorted(rng.choice(len(large), hyperparameters.bank_slices, replace=False))
        ]
    return [large[place] for place in _some(context_indices(large, context), hyperparameters.bank_slices, rng)]


def _some(around: Sequence[Sequence[int]], most: int, rng: np.random.Generator) -> list[int]:
    """At most ``most`` of them, but one with its neighbours at least: random ones, and the neighbours of each."""
    chosen: set[int] = set()
    for place in rng.permutation(trainable_indices(around)):
        more = chosen.union(around[place])
        if chosen and len(more) > most:
            break
        chosen = more
    return sorted(chosen)


def _tell_left_out(bank: NoiseBank, items: Sequence[SimulatedSlice], say: Say) -> None:
    """A line for each reason, with how many slices it kept out."""
    reasons: dict[str, int] = {}
    for item in items:
        if item.key in bank.left_out:
            why = bank.left_out[item.key]
            reasons[why] = reasons.get(why, 0) + 1
    for why, count in reasons.items():
        say(f"warning: {why} ({count} left out)")
