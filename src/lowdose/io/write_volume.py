"""A stack of HU on one grid as a new file: NIfTI, NumPy or a new DICOM series, chosen by the name."""

from __future__ import annotations

import gzip
import io
from pathlib import Path
from typing import Any

import nibabel as nib
import numpy as np

from lowdose.errors import OutputRefused
from lowdose.io.atomic import AtomicFiles, output_errors
from lowdose.io.dicom.new_series import RegularVolume, write_new_series
from lowdose.io.label_map import affine

FILE_ENDINGS = (".nii", ".nii.gz", ".npy", ".npz")
OTHER_ENDINGS = (
    *(".dcm", ".zip", ".gz", ".tar", ".nrrd", ".mha", ".mhd", ".raw", ".mat", ".h5", ".txt", ".csv", ".json"),
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".safetensors"),
)
"""Endings of files that are not written; a folder of such a name would be a mistake."""


def refuse_other_endings(output: Path) -> None:
    """Raise OutputRefused for a name that ends like a kind of file that is not written."""
    if output.name.lower().endswith(OTHER_ENDINGS) and not output.name.lower().endswith(FILE_ENDINGS):
        raise OutputRefused(
            f"{output}: {output.suffix} files are not written; give the name of a new folder for DICOM, or of a file "
            f"that ends in {', '.join(FILE_ENDINGS)}"
        )


def write_volume(volume: RegularVolume, path: Path, description: str) -> None:
    """Write a volume to ``path``: .nii, .nii.gz, .npy, .npz, or a new folder of DICOM images.

    NIfTI and NumPy files hold float32 HU; an .npz also holds ``spacing``, ``origin`` and ``direction``; a bare .npy
    holds no spacing. DICOM images are of no patient (PatientID "ANONYMOUS") and carry ``description`` as their series
    description. The output appears whole or not at all.

    Raises OutputRefused when the path is taken, cannot be written, or the volume holds NaN or infinity.
    """
    name = path.name.lower()
    refuse_other_endings(path)
    if not name.endswith(FILE_ENDINGS):
        write_new_series(volume, path, description=description, patient="ANONYMOUS")
        return
    if not np.isfinite(volume.hu).all():
        raise OutputRefused(f"{path}: the volume holds NaN or infinity; nothing was written")
    content = _nifti_bytes(volume, name.endswith(".gz")) if ".nii" in name[-7:] else _numpy_bytes(volume, name)
    files = AtomicFiles(path)
    hidden = files.add(path)
    try:
        with output_errors(path):
            hidden.write_bytes(content)
        files.commit()
    finally:
        files.discard()


def _nifti_bytes(volume: RegularVolume, compressed: bool) -> bytes:
    image: Any = nib.Nifti1Image(volume.hu.transpose(2, 1, 0), affine(volume.geometry))  # type: ignore[no-untyped-call]
    image.header.set_xyzt_units("mm")
    data: bytes = image.to_bytes()
    return gzip.compress(data, compresslevel=4) if compressed else data


def _numpy_bytes(volume: RegularVolume, name: str) -> bytes:
    stream, geometry = io.BytesIO(), volume.geometry
    if name.endswith(".npy"):
        np.save(stream, volume.hu)
    else:
        np.savez_compressed(
            stream,
            hu=volume.hu,
            spacing=np.array(geometry.spacing),
            origin=np.array(geometry.origin),
            direction=np.array(geometry.direction),
        )
    return stream.getvalue()
