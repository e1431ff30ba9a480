"""Digital patients cut into labelled slices and kept on disk: what a segmentation is trained on.

One file of HU and one of labels a patient, each made whole or not at all, so a build that was interrupted goes on and
several processes may share it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting
from lowdose.io.atomic import output_errors
from lowdose.io.atomic_replace import replace_array
from lowdose.organ_classes import CLASSES, classes_of
from lowdose.phantom.contrast_phases import PHASES
from lowdose.phantom.patient import HIGHEST, LOWEST, Patient, digital_patient

RARE_POWER = 0.7
"""An organ is asked for as often as the inverse of its share of the slices, to this power."""

FIRST_SEED = 100_000
"""Seeds of training patients start here; those below are for tests."""

SLICES = 14
SPACING_MM = 50.0
SIZE, PIXEL_MM = 448, 1.0
THICKNESS_MM = (1.0, 6.0)
VARIETY = (1.0, 3.5)


def training_patient(number: int) -> Patient:
    """Slices from groin to neck of a person with any phase, slice thickness and more than usual variety of organs."""
    seed = FIRST_SEED + number
    rng = np.random.default_rng((seed, 2))
    low = LOWEST + rng.uniform(0, HIGHEST - LOWEST - (SLICES - 1) * SPACING_MM)
    return digital_patient(
        seed,
        region=(float(low), float(low + (SLICES - 1) * SPACING_MM)),
        slices=SLICES,
        size=SIZE,
        pixel_mm=PIXEL_MM,
        spacing_mm=SPACING_MM,
        thickness_mm=float(rng.uniform(*THICKNESS_MM)),
        phase=str(rng.choice(PHASES)),
        variety=float(rng.uniform(*VARIETY)),
    )


def validation_patient(number: int) -> Patient:
    """Slices of a person of usual build whom no training sees: portal venous, 3 mm, from pelvis to neck."""
    return digital_patient(
        number, region="trunk", slices=SLICES, size=SIZE, pixel_mm=PIXEL_MM, spacing_mm=SPACING_MM, thickness_mm=3.0
    )


class PhantomDataset:
    """Slices of ``count`` patients kept in ``folder``; ``build`` makes those that are missing."""

    def __init__(self, folder: Path, count: int) -> None:
        if count < 1:
            raise InvalidSetting(f"patients={count}: needs one or more")
        self.folder, self.count = folder, count

    def __len__(self) -> int:
        return self.count * SLICES

    def build(self, progress: Callable[[int, int], None], share: tuple[int, int] = (0, 1)) -> None:
        """Makes what is missing; with share = (k, n) every n-th patient from k. Raises OutputRefused."""
        with output_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        mine = range(share[0], self.count, share[1])
        for done, number in enumerate(mine, start=1):
            hu, labels = self._files(number)
            if not labels.exists():
                patient = training_patient(number)
                replace_array(hu, np.rint(patient.volume.hu).astype(np.int16))
                replace_array(labels, patient.labels)  # the last to appear: with it a patient is complete
            progress(done, len(mine))

    @cached_property
    def occurring(self) -> NDArray[np.bool_]:
        """(slices, classes) which of ``organ_classes.CLASSES`` each slice shows."""
        found = np.zeros((len(self), len(CLASSES)), bool)
        for index in range(len(self)):
            found[index, np.unique(classes_of(np.asarray(self[index][1])))] = True
        return found

    @cached_property
    def _wishes(self) -> NDArray[np.float64]:
        """(classes,) how often each is asked for, of sum 1."""
        share = self.occurring.mean(axis=0)
        wish = np.where(share > 0, share.clip(min=1e-6) ** -RARE_POWER, 0.0)
        return np.asarray(wish / wish.sum())

    def draw(self, rng: np.random.Generator) -> int:
        """A random slice: one in two from all, one in two for an organ it shows, the rarer organs the more often.

        Thyroid or prostate lie on one slice in sixty: left to chance they would hardly be learned.
        """
        if rng.random() < 0.5:
            return int(rng.integers(len(self)))
        organ = int(rng.choice(len(CLASSES), p=self._wishes))
        return int(rng.choice(np.flatnonzero(self.occurring[:, organ])))

    def __getitem__(self, index: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """(y, x) HU and labels by ``anatomical_labels.FEATURE_NETWORKS``, as views of the files."""
        number, place = divmod(index, SLICES)
        hu, labels = (np.load(file, mmap_mode="r") for file in self._files(number))
        return hu[place], labels[place]

    def _files(self, number: int) -> tuple[Path, Path]:
        return self.folder / f"{number:05d}-hu.npy", self.folder / f"{number:05d}-labels.npy"
