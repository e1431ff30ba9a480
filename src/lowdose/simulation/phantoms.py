"""Simulated scans of phantoms at full and at low dose, written as DICOM series together with the ground truth."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting
from lowdose.io.atomic import new_folder
from lowdose.io.dicom.derivation import new_uid
from lowdose.io.dicom.new_series import write_new_series
from lowdose.io.label_map import write_labels
from lowdose.phantom import test_objects
from lowdose.phantom.patient import digital_patient
from lowdose.physics.acquisition import acquire
from lowdose.physics.kernels import Kernel
from lowdose.physics.scanner import Scanner
from lowdose.volume import Volume

MOST_SLICES = 400
"""Largest number of slices of a phantom."""


@dataclass(frozen=True)
class PhantomTruth:
    """Noise-free phantom with its ground truth.

    Attributes
    ----------
    body : Volume
        The noise-free phantom in HU.
    facts : mapping
        Ground truth that can be written as JSON: contrast phase, build, names of labels and lesions of a patient, or
        the inserts of a test phantom.
    labels : (z, y, x) uint8 or None
        Organ labels, whose names are in ``facts``; None for test phantoms.
    """

    body: Volume
    ground_truth: Mapping[str, Any]
    labels: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class ScanSettings:
    """Settings of a simulated scan.

    Attributes
    ----------
    scanner : Scanner
        The simulated scanner.
    kernel : Kernel
        Reconstruction kernel.
    mas : mAs
        Effective tube current-time product at full dose.
    dose : float
        Low dose as a fraction of full dose.
    seed : int
        Seed of the noise and, for patients, of the anatomy.
    device : str
        PyTorch device.
    """

    scanner: Scanner
    kernel: Kernel
    mas: float
    dose: float
    seed: int
    device: str = "cpu"


def _patient_phantom(region: str, seed: int, slices: int) -> PhantomTruth:
    person = digital_patient(seed, region=region, slices=slices)
    lesions = [
        {name: value for name, value in vars(lesion).items() if name != "mask"} | {"voxels": int(lesion.mask.sum())}
        for lesion in person.lesions
    ]
    present = {int(label): person.names[int(label)] for label in np.unique(person.labels) if label}
    truth = {"phase": person.phase, "build": asdict(person.build), "labels": present, "lesions": lesions}
    return PhantomTruth(person.volume, truth, person.labels)


def _test_phantom(make: Callable[..., test_objects.TestPhantom], seed: int, slices: int) -> PhantomTruth:
    phantom = make(slices=slices)
    return PhantomTruth(phantom.volume, {"inserts": [asdict(insert) for insert in phantom.inserts]})


PHANTOMS: Mapping[str, Callable[[int, int], PhantomTruth]] = {
    **{region: partial(_patient_phantom, region) for region in ("abdomen", "chest", "pelvis", "neck", "trunk")},
    "water": partial(_test_phantom, test_objects.water),
    "contrast": partial(_test_phantom, test_objects.contrast),
    "low_contrast": partial(_test_phantom, test_objects.low_contrast),
    "line_pairs": partial(_test_phantom, test_objects.line_pairs),
    **{f"acr_{module}": partial(_test_phantom, partial(test_objects.acr, module)) for module in (1, 2, 3, 4)},
}


def build_phantom(name: str, seed: int, slices: int) -> PhantomTruth:
    """Create the phantom ``name``: a patient, who depends on the seed, or a test phantom, which does not.

    Raises InvalidSetting for an unknown name, a number of slices out of range or a negative seed.
    """
    if name not in PHANTOMS:
        raise InvalidSetting(f"phantom '{name}': must be one of {', '.join(PHANTOMS)}")
    if not 1 <= slices <= MOST_SLICES:
        raise InvalidSetting(f"{slices} slices: must be between 1 and {MOST_SLICES}")
    if seed < 0:
        raise InvalidSetting(f"seed {seed}: must not be negative")
    return PHANTOMS[name](seed, slices)


def scan_phantom(
    name: str, out: Path, slices: int, scanning: ScanSettings, progress: Callable[[int], None] = lambda done: None
) -> None:
    """Scan a phantom and write the series and the ground truth into the new folder ``out``.

    It holds the DICOM series full, low and truth (without noise) of one study, truth.json and, for a patient,
    labels.nii.gz. The folder appears complete or not at all. Raises InvalidSetting, OutputRefused.
    """
    with new_folder(out) as folder:
        truth = build_phantom(name, scanning.seed, slices)
        scanner, kernel = scanning.scanner, scanning.kernel
        scans = acquire(
            truth.body,
            scanner,
            kernel,
            mas=scanning.mas,
            dose=scanning.dose,
            seed=scanning.seed,
            device=scanning.device,
            progress=progress,
        )
        acquisition = replace(truth.body.acquisition, kernel=kernel.label, manufacturer="lowdose")
        study, frame = new_uid(), new_uid()
        percent = f"{100 * scanning.dose:.3g}%"
        for number, (part, volume, text) in enumerate(
            (
                ("full", scans.full, "full dose"),
                ("low", scans.low, f"{percent} dose"),
                ("truth", truth.body, "no noise"),
            )
        ):
            write_new_series(
                replace(volume, acquisition=acquisition),
                folder / part,
                description=f"phantom {name}, {text}",
                patient=f"PHANTOM {name} {scanning.seed}",
                series_number=number + 1,
                study_uid=study,
                frame_uid=frame,
            )
        if truth.labels is not None:
            write_labels(truth.labels, truth.body.geometry, folder / "labels.nii.gz")
        settings = {"phantom": name, "kernel": str(kernel), "scanner": asdict(scanner), "mas": scanning.mas}
        settings |= {"dose": scanning.dose, "seed": scanning.seed}
        (folder / "truth.json").write_text(json.dumps(settings | dict(truth.ground_truth), indent=2))
