"""Pairs of normal-dose scans and simulated low dose."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from lowdose.data.noise_bank.bank import NoiseBank
from lowdose.data.noise_bank.build import Calibrate, CalibratedSlice, build_noise_bank
from lowdose.data.noise_bank.parallel import build_with_processes
from lowdose.data.noise_bank.plan import PLAN, Plan, dose_levels, prepare_folder
from lowdose.data.pairs import PairedSlice
from lowdose.data.patch_fields import USUAL
from lowdose.data.patches import Patches
from lowdose.data.simulated import SimulatedSlice, SimulatedSlices
from lowdose.data.simulated_validation import validation_pairs
from lowdose.data.slice_context import context_indices, trainable_indices
from lowdose.data.training_set import Found, find_normal_dose
from lowdose.errors import LowDoseError
from lowdose.training.folder_for_all import folder_for_all
from lowdose.training.pairing import Say, large_enough, patches_of, with_known_dose
from lowdose.training.recipe import DenoiserHyperparameters
from lowdose.training.validation import evenly_spaced

PROGRESS_INTERVAL_S = 10.0


class SimulatedPairing:
    """Pairs of normal-dose scans and simulated low dose; the items of the run must be of ``SimulatedSlice``.

    calibrate: function that estimates how the slices of one series were scanned. rule: name of that function, since a
    noise bank that was built by another one is refused. folder: folder of the noise bank, by default in that of the
    run.
    """

    name, paired, states_dose, found = "simulated", True, True, "slices of normal dose"
    source = ""

    def __init__(self, calibrate: Calibrate, rule: str, folder: Path | None = None) -> None:
        self._calibrate, self._rule, self._folder = calibrate, rule, folder

    def find(self, stack: ExitStack, roots: Sequence[Path]) -> Found:
        """Find the slices of normal dose, as ``SimulatedSlice``."""
        return find_normal_dose(stack, roots)

    def patches(
        self,
        learn: Sequence[PairedSlice],
        hyperparameters: DenoiserHyperparameters,
        context: int,
        run: Path,
        fabric: Fabric,
        say: Say,
        fields: Sequence[str] = USUAL,
    ) -> Patches:
        """Build what is missing in the noise bank for ``learn``, and return training patches with noise from it."""
        items = _choose_bank_slices(_simulated(learn), hyperparameters, context, say)
        folder = self._folder or run / "noise-bank"
        plan = Plan(
            {item.key: item.normal.shape for item in items},
            hyperparameters.realisations,
            self._rule,
            dose_levels(hyperparameters.dose_low),
        )
        normal = [item.normal for item in items]
        with folder_for_all(fabric, folder, (PLAN,), say):  # another run may be building it
            if fabric.is_global_zero:
                prepare_folder(folder, plan)
            fabric.barrier()
            share, processes = (fabric.global_rank, fabric.world_size), torch.get_num_threads()
            build_with_processes(folder, normal, self._calibrate, share, BankProgress(say), processes)
            fabric.barrier()
            build_noise_bank(folder, normal, self._calibrate)  # whatever another process could not finish
            fabric.barrier()
        bank = NoiseBank(folder)
        slices = SimulatedSlices(bank, items, hyperparameters.doses, context)
        _report_left_out(bank, items, say)
        return patches_of(slices, hyperparameters, fields, with_known_dose(hyperparameters.augmentation))

    def held_out(
        self, check: Sequence[PairedSlice], hyperparameters: DenoiserHyperparameters, context: int, say: Say
    ) -> list[list[PairedSlice]]:
        """Return a few of the slices ``check`` at simulated doses, evenly spaced, each with its neighbours.

        A series that cannot be calibrated is left out with a warning.
        """
        items = _simulated(check)
        around = context_indices(items, context)
        wanted = {
            items[index].key: [items[other] for other in around[index]]
            for index in evenly_spaced(trainable_indices(around))
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
            scan_of = {item.key: scan for item, scan in zip(members, scans, strict=True)}
            chosen += [[(one, scan_of[one.key]) for one in wanted[item.key]] for item in members if item.key in wanted]
        pairs, warnings = validation_pairs(chosen, hyperparameters.seed)
        for text in warnings:
            say(f"warning: {text}")
        return pairs


class BankProgress:
    """Callback that reports the progress of a noise bank and the time left, every ten seconds."""

    def __init__(self, say: Say) -> None:
        self._say, self._started = say, time.monotonic()
        self._last_report = self._started

    def __call__(self, done: int, total: int) -> None:
        """Report that ``done`` of ``total`` slices are built, unless the last report is recent."""
        now = time.monotonic()
        if now - self._last_report < PROGRESS_INTERVAL_S and done < total:
            return
        self._last_report = now
        left_s = int((now - self._started) * (total - done) / max(done, 1))
        self._say(f"noise bank: slice {done}/{total}  {left_s // 60} min {left_s % 60:02d} s left")


def _simulated(items: Sequence[PairedSlice]) -> list[SimulatedSlice]:
    return [item for item in items if isinstance(item, SimulatedSlice)]


def _choose_bank_slices(
    items: Sequence[SimulatedSlice], hyperparameters: DenoiserHyperparameters, context: int, say: Say
) -> list[SimulatedSlice]:
    """Return the slices that are large enough for a patch, at most ``bank_slices`` of them, in their order.

    Where there are more, the choice is random and determined by the seed.
    """
    large = large_enough(items, hyperparameters.patch, say)
    if not 0 < hyperparameters.bank_slices < len(large):
        return large
    rng = np.random.default_rng(hyperparameters.seed)
    if context == 0:
        return [
            large[int(index)] for index in sorted(rng.choice(len(large), hyperparameters.bank_slices, replace=False))
        ]
    return [large[index] for index in _choose_stacks(context_indices(large, context), hyperparameters.bank_slices, rng)]


def _choose_stacks(around: Sequence[Sequence[int]], most: int, rng: np.random.Generator) -> list[int]:
    """Choose random slices with their neighbours: at most ``most`` in all, but at least one slice with neighbours."""
    chosen: set[int] = set()
    for index in rng.permutation(trainable_indices(around)):
        larger = chosen.union(around[index])
        if chosen and len(larger) > most:
            break
        chosen = larger
    return sorted(chosen)


def _report_left_out(bank: NoiseBank, items: Sequence[SimulatedSlice], say: Say) -> None:
    """Report each reason for which slices were left out, with their number."""
    reasons: dict[str, int] = {}
    for item in items:
        if item.key in bank.left_out:
            why = bank.left_out[item.key]
            reasons[why] = reasons.get(why, 0) + 1
    for why, count in reasons.items():
        say(f"warning: {why} ({count} left out)")
