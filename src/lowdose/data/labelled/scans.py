"""Reader of CT scans with organ labels next to them in a folder, kept as int16 HU."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from lowdose.anatomical_labels import LABELS
from lowdose.batch import UNKNOWN
from lowdose.data.labelled.dataset import LabelledSlice
from lowdose.errors import LowDoseError, NothingToRead
from lowdose.io.input_kind import check_folder
from lowdose.io.label_map import LabelMap, NoLabels, check_on_grid, labels_of_slice, open_labels
from lowdose.io.open_series import open_source
from lowdose.io.source import Source
from lowdose.organ_classes import CLASSES, INDEX, ORGANS, TISSUES, classes_of

LABEL_FILES = ("labels.nii.gz", "labels.nii")
SEGMENTATIONS = "segmentations"
"""Folder with one mask per structure, as in the public TotalSegmentator data set."""
CT_NAMES = ("ct.nii.gz", "ct.nii", "dicom")


@dataclass(frozen=True)
class _Scan:
    """Files of a labelled scan: the CT, and either a label map or masks by name of the structure."""

    ct: Path
    labels: Path | None
    masks: dict[str, Path]


def labelled_slices(roots: Sequence[Path]) -> tuple[list[LabelledSlice], list[str]]:
    """Read all slices of all labelled scans below the given folders.

    Returns (slices, warnings about what was left out and why). Each scan counts as a patient. A scan is a folder that
    holds ``labels.nii.gz`` (numbers of ``anatomical_labels.NAMES``) or ``segmentations/NAME.nii.gz``
    (masks), and the CT: ``ct.nii.gz`` or the folder ``dicom``. A class is annotated when it occurs in the labels, or
    when there is a mask of one of its members. Raises NothingToRead when there is no labelled scan.
    """
    found: list[LabelledSlice] = []
    warnings: list[str] = []
    folders = [folder for root in roots for folder in _scan_folders(root)]
    for patient, folder in enumerate(folders, start=1):
        try:
            found += _read_scan(_find_scan(folder), patient)
        except LowDoseError as error:
            warnings.append(f"{folder}: {error} (left out)")
    if not found:
        reason = f" ({warnings[0]})" if warnings else ""
        raise NothingToRead(
            f"{', '.join(map(str, roots))}: no labelled scan found{reason}; needs folders with ct.nii.gz or dicom/, "
            "and labels.nii.gz or segmentations/NAME.nii.gz"
        )
    return found, warnings


def _scan_folders(root: Path) -> list[Path]:
    check_folder(root, "labelled scans")
    places = {path.parent for name in LABEL_FILES for path in root.rglob(name)}
    places |= {path.parent for path in root.rglob(SEGMENTATIONS) if path.is_dir()}
    return sorted(places)


def _find_scan(folder: Path) -> _Scan:
    ct = next((folder / name for name in CT_NAMES if (folder / name).exists()), None)
    if ct is None:
        raise NothingToRead(f"labels without a CT; name it one of {', '.join(CT_NAMES)}")
    labels = next((folder / name for name in LABEL_FILES if (folder / name).exists()), None)
    files = (folder / SEGMENTATIONS).glob("*.nii*") if labels is None else []
    masks = {path.name.split(".")[0]: path for path in files}
    known = {name: path for name, path in masks.items() if name in LABELS}
    if labels is None and not known:
        raise NothingToRead(f"no mask in {SEGMENTATIONS} is named after a structure, such as liver.nii.gz")
    return _Scan(ct, labels, known)


def _read_scan(scan: _Scan, patient: int) -> list[LabelledSlice]:
    with ExitStack() as stack:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="lowdose-")))
        source = stack.enter_context(open_source(scan.ct))
        if scan.labels is not None:
            label_map = open_labels(scan.labels, scratch)
            check_on_grid(label_map, source, range(len(source)))
            annotated = _occurring_classes(label_map)
            return [
                _labelled_slice(source, k, labels_of_slice(label_map, source, k), annotated, patient)
                for k in range(len(source))
            ]
        return _slices_from_masks(scan, source, scratch, patient)


def _slices_from_masks(scan: _Scan, source: Source, scratch: Path, patient: int) -> list[LabelledSlice]:
    """Combine the masks into one label map; where masks overlap, the later structure in ``LABELS`` wins."""
    labels = np.zeros((len(source), *source.planes[0].shape), np.uint8)
    for name in sorted(scan.masks, key=LABELS.__getitem__):
        try:
            mask = open_labels(scan.masks[name], scratch)
        except NoLabels:  # a structure that this scan does not contain
            continue
        for k in range(len(source)):
            labels[k][labels_of_slice(mask, source, k) > 0] = LABELS[name]
    annotated = np.zeros(len(CLASSES), bool)
    for organ in (*TISSUES, *ORGANS):
        # Public data lack masks for some members of a class (no cysts), so one mask of a class is enough.
        annotated[INDEX[organ.name]] = any(member in scan.masks for member in organ.members)
    return [_labelled_slice(source, k, labels[k], annotated, patient) for k in range(len(source))]


def _occurring_classes(labels: LabelMap) -> NDArray[np.bool_]:
    annotated = np.zeros(len(CLASSES), bool)
    annotated[classes_of(np.array(sorted(labels.present), np.uint8))] = True
    annotated[: INDEX["body"] + 1] = False
    return annotated


def _labelled_slice(
    source: Source, index: int, labels: NDArray[np.uint8], annotated: NDArray[np.bool_], patient: int
) -> LabelledSlice:
    item = source.read(index)
    classes = classes_of(labels)
    classes[~annotated[classes]] = UNKNOWN
    hu = np.rint(item.in_air).clip(-32768, 32767).astype(np.int16)
    return LabelledSlice(patient, hu, classes, annotated, item.pixel_mm or (1.0, 1.0))
