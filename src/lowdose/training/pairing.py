"""Where the low-dose and full-dose images of a run come from, and the sources that need no simulator."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Protocol, TypeVar

from lightning_fabric import Fabric

from lowdose.data.augmentation import MARGIN, Augmentation
from lowdose.data.pairs import PairedSlice
from lowdose.data.patch_fields import USUAL
from lowdose.data.patch_source import PatchSources, SliceCache
from lowdose.data.patches import Patches, check_patch
from lowdose.data.slice_context import context_indices, trainable_indices
from lowdose.data.training_set import Found, find_pairs, find_single_slices
from lowdose.io.messages import counted
from lowdose.training.recipe import DenoiserHyperparameters
from lowdose.training.validation import evenly_spaced

Say = Callable[[str], None]


class Pairing(Protocol):
    """Source of the pairs of a run: finds its slices, and makes training patches and validation slices from them.

    Attributes
    ----------
    name : str
        Name on the command line.
    paired : bool
        Whether there is a full-dose image for each low-dose one; if not, both are the same image.
    states_dose : bool
        Whether low dose is known as a fraction of full dose.
    found : str
        What ``find`` finds, in the plural.
    source : str
        What identifies a model that it pairs with, as the hash of its file; '' = none. A run is resumed with the same.
    """

    name: str
    paired: bool
    states_dose: bool
    found: str
    source: str

    def find(self, stack: ExitStack, roots: Sequence[Path]) -> Found:
        """Find all slices below folders and in packs; files stay open for as long as ``stack`` lives."""
        ...

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
        """Return the training patches, with the given fields, made from the slices ``learn``.

        Every process calls this at the same time. context: neighbours on each side that the network sees besides a
        slice. say: receives messages; those of all processes but the first are discarded.
        """
        ...

    def held_out(
        self, check: Sequence[PairedSlice], hyperparameters: DenoiserHyperparameters, context: int, say: Say
    ) -> list[list[PairedSlice]]:
        """Return a few of the slices ``check``, evenly spaced, each as a list of it and its neighbours in order."""
        ...


class FolderPairing:
    """Pairs of scans at two doses."""

    name, paired, states_dose, found = "folders", True, False, "pairs of slices"
    source = ""

    def find(self, stack: ExitStack, roots: Sequence[Path]) -> Found:
        """Find the pairs of scans."""
        return find_pairs(stack, roots)

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
        """Return the training patches of the pairs ``learn``."""
        slices = SliceCache(large_enough(learn, hyperparameters.patch, say), context)
        return patches_of(slices, hyperparameters, fields, hyperparameters.augmentation)

    def held_out(
        self, check: Sequence[PairedSlice], hyperparameters: DenoiserHyperparameters, context: int, say: Say
    ) -> list[list[PairedSlice]]:
        """Return a few of the pairs ``check``, evenly spaced, each with its neighbours."""
        around = context_indices(check, context)
        return [[check[other] for other in around[index]] for index in evenly_spaced(trainable_indices(around))]


class NoPairing(FolderPairing):
    """Single scans of any dose, for methods that learn without targets; nothing can be validated on them."""

    name, paired, states_dose, found = "none", False, False, "slices"

    def find(self, stack: ExitStack, roots: Sequence[Path]) -> Found:
        """Find the slices of all scans."""
        return find_single_slices(stack, roots)

    def held_out(
        self, check: Sequence[PairedSlice], hyperparameters: DenoiserHyperparameters, context: int, say: Say
    ) -> list[list[PairedSlice]]:
        """Return none: there is nothing to compare with."""
        return []


def patches_of(
    slices: PatchSources, h: DenoiserHyperparameters, fields: Sequence[str], augmentation: Augmentation
) -> Patches:
    """Return training patches of slices, with lesions in as many of them as the hyperparameters say."""
    return Patches(slices, h.patch, augmentation, h.seed, h.lesion_share, fields, h.lesion_diameters_mm)


def with_known_dose(augmentation: Augmentation) -> Augmentation:
    """Return the augmentation without gain, for sources that set the strength of the noise and so know the dose."""
    return replace(augmentation, gain_low=1.0, gain_high=1.0)


P = TypeVar("P", bound=PairedSlice)


def large_enough(items: Sequence[P], patch: int, say: Say = lambda text: None) -> list[P]:
    """Return the slices into which a patch fits, and those of unknown size; say how many are left out.

    Raises InvalidSetting when none is left.
    """
    side = patch + 2 * MARGIN
    large = [item for item in items if item.shape is None or min(item.shape) >= side]
    if items and not large:
        check_patch(patch, max((item.shape for item in items if item.shape), key=min))
    if len(large) < len(items):
        say(f"warning: left out: {counted(len(items) - len(large), 'slice')} of less than {side} x {side} pixels")
    return large
