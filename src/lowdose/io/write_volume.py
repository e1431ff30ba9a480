"""A stack of HU on one grid as a new file: NIfTI, NumPy or a new DICOM series, chosen by the name."""

from __future__ import annotations

import gzip
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from lowdose.errors import OutputRefused
from lowdose.io.arrays import FILE_ENDINGS, companion_path, is_single_file
from lowdose.io.atomic import AtomicFiles, output_errors, refuse_existing_file, refuse_existing_folder

if TYPE_CHECKING:
    from lowdose.io.dicom.new_series import RegularVolume

OTHER_ENDINGS = (
    *(".dcm", ".zip", ".gz", ".tar", ".nrrd", ".mha", ".mhd", ".raw", ".mat", ".h5", ".txt", ".csv", ".json"),
    *(".png", ".jpg", ".jpeg", ".tif", ".tiff", ".safetensors"),
)
"""Endings of files that are not written; a folder of such a name would be a mistake."""


def refuse_other_endings(output: Path) -> None:
    """Raise OutputRefused for a name that ends like a kind of file that is not written."""
    if output.name.lower().endswith(OTHER_ENDINGS) and not is_single_file(output):
        raise OutputRefused(
            f"{output}: {output.suffix} files are not written; give the name of a new folder for DICOM, or of a file "
            f"that ends in {', '.join(FILE_ENDINGS)}"
        )


def refuse_taken(output: Path, companions: Iterable[str] = ()) -> None:
    """Raise OutputRefused where ``write_volume`` would, for a name that is taken or has another ending."""
    refuse_other_endings(output)
    if not is_single_file(output):
        refuse_existing_folder(output)
        return
    for path in (output, *(companion_path(output, name) for name in companions)):
        refuse_existing_file(path)


def write_volume(
    volume: RegularVolume, path: Path, description: str, companions: Mapping[str, bytes] = MappingProxyType({})
) -> None:
    """Write a volume to ``path``: .nii, .nii.gz, .npy, .npz, or a new folder of DICOM images.

    NIfTI and NumPy files hold float32 HU; an .npz also holds ``spacing``, ``origin`` and ``direction``; a bare .npy
    holds no spacing. DICOM images are of no patient (PatientID "ANONYMOUS") and carry ``description`` as their series
    description. ``companions``, content by name, go into the folder or beside the file (``companion_path``). All of it
    appears or nothing.

    Raises OutputRefused when a path is taken, cannot be written, or the volume holds NaN or infinity.
    """
    refuse_other_endings(path)
    if not is_single_file(path):
        from lowdose.io.dicom.new_series import write_new_series

        write_new_series(volume, path, description=description, patient="ANONYMOUS", companions=companions)
        return
    if not np.isfinite(volume.hu).all():
        raise OutputRefused(f"{path}: the volume holds NaN or infinity; nothing was written")
    name = path.name.lower()
    content = _nifti_bytes(volume, name.endswith(".gz")) if ".nii" in name[-7:] else _numpy_bytes(volume, name)
    wanted = {path: content, **{companion_path(path, name): data for name, data in companions.items()}}
    files = AtomicFiles(path)
    try:
        for final, data in wanted.items():
            hidden = files.add(final)
            with output_errors(final):
                hidden.write_bytes(data)
        files.commit()
    finally:
        files.discard()


def _nifti_bytes(volume: RegularVolume, compressed: bool) -> bytes:
    import nibabel as nib

    from lowdose.io.label_map import affine

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
