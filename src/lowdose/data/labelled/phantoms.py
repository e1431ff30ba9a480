"""Labelled slices of digital patients, kept on disk, for training a segmentation network.

Each patient has one file of HU and one of labels, each written completely or not at all, so an interrupted build can be
continued and several processes can build together.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lowdose.data.processes import Advance, in_processes
from lowdose.errors import InvalidSetting
from lowdose.io.atomic import output_errors
from lowdose.io.atomic_replace import replace_array
from lowdose.organ_classes import CLASSES, classes_of
from lowdose.phantom.contrast_phases import PHASES
from lowdose.phantom.patient import HIGHEST, LOWEST, Patient, digital_patient

RARE_POWER = 0.7
"""Exponent p in the probability of requesting an organ, proportional to s^-p if a share s of the slices shows it."""

FIRST_SEED = 100_000
"""First seed of the training patients; smaller seeds are reserved for tests."""

SLICES = 14
"""Number of slices of a patient."""
SPACING_MM = 50.0
SIZE, PIXEL_MM = 448, 1.0
THICKNESS_MM = (1.0, 6.0)
"""Range of the slice thickness (mm) of training patients."""
VARIETY = (1.0, 3.5)
"""Range of the factor on how much the organs of training patients differ (see ``digital_patient``)."""


def training_patient(number: int) -> Patient:
    """Create training patient ``number``, with slices from groin to neck.

    Contrast phase and slice thickness are random, and organs vary more than usual.
    """
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
    """Create validation patient ``number``, who is in no training set.

    The patient has a usual build, portal venous contrast and slices of 3 mm from pelvis to neck.
    """
    return digital_patient(
        number, region="trunk", slices=SLICES, size=SIZE, pixel_mm=PIXEL_MM, spacing_mm=SPACING_MM, thickness_mm=3.0
    )


class PhantomDataset:
    """Labelled slices of ``count`` training patients, kept in ``folder``.

    ``build`` must have created the missing patients before slices are read. Raises InvalidSetting when ``count`` is
    below 1.
    """

    def __init__(self, folder: Path, count: int) -> None:
        if count < 1:
            raise InvalidSetting(f"patients={count}: needs one or more")
        self.folder, self.count = folder, count

    def __len__(self) -> int:
        return self.count * SLICES

    def build(self, progress: Advance, share: tuple[int, int] = (0, 1), processes: int = 1) -> None:
        """Create the patients that are missing.

        share: (k, n) = only every n-th patient from the k-th on, for n processes that build together. progress: called
        with (patients done, patients to do). processes: number of processes, of one thread each, that this one starts
        to share its work. Raises OutputRefused.
        """
        with output_errors(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        processes = min(processes, self.count)
        if processes > 1:

            def work(number: int, advance: Advance) -> None:
                self._build(advance, (share[0] + share[1] * number, share[1] * processes))

            in_processes(processes, work, progress)
        self._build(progress, share)  # whatever another process could not finish

    def _build(self, progress: Advance, share: tuple[int, int]) -> None:
        mine = range(share[0], self.count, share[1])
        for done, number in enumerate(mine, start=1):
            hu, labels = self._files(number)
            if not labels.exists():
                patient = training_patient(number)
                replace_array(hu, np.rint(patient.volume.hu).astype(np.int16))
                replace_array(labels, patient.labels)  # written last: it marks the patient as complete
            progress(done, len(mine))

    @cached_property
    def occurring(self) -> NDArray[np.bool_]:
        """Which of ``organ_classes.CLASSES`` occur in each slice: (slices, classes)."""
        occurring = np.zeros((len(self), len(CLASSES)), bool)
        for index in range(len(self)):
            occurring[index, np.unique(classes_of(np.asarray(self[index][1])))] = True
        return occurring

    @cached_property
    def _organ_probabilities(self) -> NDArray[np.float64]:
        """Probability that ``draw`` requests each class: (classes,)."""
        share = self.occurring.mean(axis=0)
        weights = np.where(share > 0, share.clip(min=1e-6) ** -RARE_POWER, 0.0)
        return np.asarray(weights / weights.sum())

    def draw(self, rng: np.random.Generator) -> int:
        """Draw the index of a random slice.

        Half of the draws are uniform over all slices. The other half first draw an organ, rare ones more often, and
        then a slice that shows it: thyroid and prostate occur in one slice out of sixty, so they would hardly be
        learned with uniform sampling.
        """
        if rng.random() < 0.5:
            return int(rng.integers(len(self)))
        organ = int(rng.choice(len(CLASSES), p=self._organ_probabilities))
        return int(rng.choice(np.flatnonzero(self.occurring[:, organ])))

    def __getitem__(self, index: int) -> tuple[NDArray[np.int16], NDArray[np.uint8]]:
        """Return HU and labels (``anatomical_labels.NAMES``) of a slice, (y, x) each, as file views."""
        number, place = divmod(index, SLICES)
        hu, labels = (np.load(file, mmap_mode="r") for file in self._files(number))
        return hu[place], labels[place]

    def _files(self, number: int) -> tuple[Path, Path]:
        return self.folder / f"{number:05d}-hu.npy", self.folder / f"{number:05d}-labels.npy"
