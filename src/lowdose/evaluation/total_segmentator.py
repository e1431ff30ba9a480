"""TotalSegmentator, where it is installed: whole series in, its 117 classes out (Wasserthal 2023).

It is no dependency of ours: it brings its own weights and nnU-Net, and it is only ever called, never copied.
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
MOST_CLASSES = 255


def class_names() -> dict[int, str]:
    """Number -> name of the classes of the installed version. Raises InvalidSetting when there is none."""
    classes: dict[int, str] = _module("map_to_binary").class_map["total"]
    _module("python_api")
    return {int(number): str(name) for number, name in classes.items()}


def nifti_header(geometry: Geometry, shape: tuple[int, int, int]) -> bytes:
    """What a NIfTI file of HU starts with; the float32 values of ``shape`` (z, y, x) follow, x fastest."""
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
    """The classes of a NIfTI image of ``shape`` (z, y, x): uint8 of that shape, 0 where there is none.

    what: the series, for messages. Raises InvalidSetting when TotalSegmentator is not there or fails.
    """
    run = _module("python_api").totalsegmentator
    try:
        # What it prints would else be mixed into the output of the command.
        with redirect_stdout(sys.stderr):
            found = run(image, None, ml=True, quiet=True, device="gpu" if device.type == "cuda" else "cpu")
        labels = np.asarray(found.dataobj)
    except (Exception, SystemExit) as error:  # nnU-Net and its many helpers raise whatever they like
        raise InvalidSetting(
            f"{what}: TotalSegmentator failed ({type(error).__name__}: {error}); {WEIGHTS}; {ANATOMY}"
        ) from error
    if labels.shape != shape[::-1] or labels.min() < 0 or labels.max() > MOST_CLASSES:
        raise InvalidSetting(
            f"{what}: TotalSegmentator gave labels from {labels.min()} to {labels.max()}, shape {labels.shape}, for an "
            f"image of shape {shape[::-1]}; reinstall it, {ANATOMY}"
        )
    return labels.transpose(2, 1, 0).astype(np.uint8)


def _module(name: str) -> Any:
    try:
        return importlib.import_module(f"totalsegmentator.{name}")
    except Exception as error:  # an installation that lacks a part of its own fails in any way
        missing = isinstance(error, ModuleNotFoundError) and (error.name or "").startswith("totalsegmentator")
        how = "is not installed" if missing else f"cannot be started ({type(error).__name__}: {error})"
        raise InvalidSetting(
            f"--segmenter total_segmentator: TotalSegmentator {how}: pip install TotalSegmentator; {WEIGHTS}; {ANATOMY}"
        ) from error
