"""Interface to TotalSegmentator (Wasserthal 2023), which segments 117 classes in a whole CT series.

It is an optional package, not a dependency of lowdose: it brings its own weights and nnU-Net, and is only called; no
code of it is copied.
"""

from __future__ import annotations

import importlib
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np
import torch
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting
from lowdose.image import Geometry
from lowdose.io.label_map import affine

ANATOMY = "or take --segmenter anatomy, which needs neither"
WEIGHTS = (
    "its weights are fetched at the first use; for a machine without network run 'totalseg_download_weights -t total' "
    "on one that has it, copy the folder ~/.totalsegmentator/nnunet/results and name the copy in TOTALSEG_WEIGHTS_PATH"
)
USAGE_STATISTICS_NOTE = (
    "TotalSegmentator tells its makers of every run, though nothing of the images, unless send_usage_stats is false in "
    "~/.totalsegmentator/config.json"
)
MAX_LABEL = 255
"""Largest label that fits uint8."""


def class_names() -> dict[int, str]:
    """Return the classes of the installed version, number to name. Raises InvalidSetting if it is not installed."""
    classes: dict[int, str] = _module("map_to_binary").class_map["total"]
    _module("python_api")
    return {int(number): str(name) for number, name in classes.items()}


def nifti_header(geometry: Geometry, shape: tuple[int, int, int]) -> bytes:
    """Return the header of a NIfTI file of HU; the values of ``shape`` (z, y, x), float32, x fastest, must follow."""
    header: Any = nib.Nifti1Header()  # type: ignore[no-untyped-call]
    header.set_data_shape(shape[::-1])
    header.set_data_dtype(np.dtype("<f4"))
    header.set_sform(affine(geometry), "scanner")
    header.set_qform(affine(geometry), "scanner")
    header.set_xyzt_units("mm")
    header["vox_offset"] = header.single_vox_offset
    block: bytes = header.binaryblock
    return block.ljust(header.single_vox_offset, b"\0")


def segment(image: Path, shape: tuple[int, int, int], device: torch.device, what: str) -> NDArray[np.uint8]:
    """Segment a NIfTI image of ``shape`` (z, y, x) and return its classes, uint8 of that shape, 0 for none.

    ``what`` names the series in messages. Raises InvalidSetting if TotalSegmentator is not installed or fails.
    """
    run = _module("python_api").totalsegmentator
    try:
        # What it prints to standard output would be mixed into the output of the command.
        with redirect_stdout(sys.stderr):
            result = run(image, None, ml=True, quiet=True, device="gpu" if device.type == "cuda" else "cpu")
        labels = np.asarray(result.dataobj)
    except (Exception, SystemExit) as error:  # nnU-Net and its many dependencies may raise anything
        raise InvalidSetting(
            f"{what}: TotalSegmentator failed ({type(error).__name__}: {error}); {WEIGHTS}; {ANATOMY}"
        ) from error
    if labels.shape != shape[::-1] or labels.min() < 0 or labels.max() > MAX_LABEL:
        raise InvalidSetting(
            f"{what}: TotalSegmentator gave labels from {labels.min()} to {labels.max()}, shape {labels.shape}, for an "
            f"image of shape {shape[::-1]}; reinstall it, {ANATOMY}"
        )
    return labels.transpose(2, 1, 0).astype(np.uint8)


def _module(name: str) -> Any:
    """Import a module of TotalSegmentator. Raises InvalidSetting, with instructions, if that fails."""
    try:
        return importlib.import_module(f"totalsegmentator.{name}")
    except Exception as error:  # an incomplete installation can raise anything
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("totalsegmentator")
        how = "is not installed" if missing else f"cannot be started ({type(error).__name__}: {error})"
        raise InvalidSetting(
            f"--segmenter total_segmentator: TotalSegmentator {how}: pip install TotalSegmentator; {WEIGHTS}; {ANATOMY}"
        ) from error
