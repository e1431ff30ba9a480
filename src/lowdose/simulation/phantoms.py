"""Phantoms by name, scanned at full dose and at a fraction of it: DICOM series beside their truth."""

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


@dataclass(frozen=True)
class PhantomTruth:
    """A noise-free phantom and what is known of it. facts: for JSON; labels: (z, y, x) with names in facts, or None."""

    body: Volume
    facts: Mapping[str, Any]
    labels: NDArray[np.uint8] | None = None


@dataclass(frozen=True)
class ScanSettings:
    """How a phantom is scanned. mas: effective mAs at full dose, of which ``dose`` is the fraction."""

    scanner: Scanner
    kernel: Kernel
    mas: float
    dose: float
    seed: int
    device: str = "cpu"


def _patient(region: str, seed: int, slices: int) -> PhantomTruth:
    person = digital_patient(seed, region=region, slices=slices)
    lesions = [
        {name: value for name, value in vars(lesion).items() if name != "mask"} | {"voxels": int(lesion.mask.sum())}
        for lesion in person.lesions
    ]
    present = {int(label): person.names[int(label)] for label in np.unique(person.labels) if label}
    facts = {"phase": person.phase, "build": asdict(person.build), "labels": present, "lesions": lesions}
    return PhantomTruth(person.volume, facts, person.labels)


def _quality(make: Callable[..., test_objects.TestPhantom], seed: int, slices: int) -> PhantomTruth:
    made = make(slices=slices)
    return PhantomTruth(made.volume, {"inserts": [asdict(insert) for insert in made.inserts]})


PHANTOMS: Mapping[str, Callable[[int, int], PhantomTruth]] = {
    **{region: partial(_patient, region) for region in ("abdomen", "chest", "pelvis", "neck", "trunk")},
    "water": partial(_quality, test_objects.water),
    "contrast": partial(_quality, test_objects.contrast),
    "low_contrast": partial(_quality, test_objects.low_contrast),
    "line_pairs": partial(_quality, test_objects.line_pairs),
    **{f"acr_{module}": partial(_quality, partial(test_objects.acr, module)) for module in (1, 2, 3, 4)},
}


def build_phantom(name: str, seed: int, slices: int) -> PhantomTruth:
    """The phantom ``name``; the seed makes the person, test phantoms are always the same. Raises InvalidSetting."""
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
    """Writes ``out``/full, /low and /truth as DICOM series of one study, truth.json and, of a person, labels.nii.gz.

    The folder appears whole or not at all. Raises InvalidSetting, OutputRefused.
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
        made = replace(truth.body.acquisition, kernel=kernel.label, manufacturer="lowdose")
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
                replace(volume, acquisition=made),
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
        (folder / "truth.json").write_text(json.dumps(settings | dict(truth.facts), indent=2))
