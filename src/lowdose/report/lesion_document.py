"""Lesions that were found as a DICOM Comprehensive 3D SR, after the template for measurement reports (TID 1500)."""

from __future__ import annotations

import io
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import numpy as np
from pydicom.sr.codedict import codes
from pydicom.uid import generate_uid

from lowdose.infer.lesions import DetectedLesion, LesionBox
from lowdose.io.dicom.derivation import new_uid
from lowdose.io.dicom.evidence import Evidence
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings
from lowdose.io.provenance import SOFTWARE
from lowdose.version import __version__

if TYPE_CHECKING:
    from highdicom import sr

DESCRIPTION = "Lesions (research algorithm)"
"""Description of the new series."""
SERIES_NUMBER = 9000
USE = "research use only, not a medical device"


def can_write() -> bool:
    """Return whether the package that writes such documents is installed."""
    return find_spec("highdicom") is not None


def lesion_document(lesions: Sequence[DetectedLesion], evidence: Evidence, settings: Sequence[str]) -> bytes:
    """Return the document as the content of a DICOM file.

    One measurement group a lesion (TID 1411) holds a closed polyline around the box in each slice, the certainty of the
    detector in percent, and the mean HU. Without lesions one group (TID 1501) says that their number is 0. settings:
    parameters of the algorithm, a sentence each.

    References
    ----------
    DICOM PS3.16, templates 1500, 1411, 1501 and 4019; PS3.3, C.18.6.1, for coordinates in an image. C. P. Bridge et
    al., Highdicom: a Python library for standardized encoding of image annotations and machine learning model outputs
    in pathology and radiology, Journal of Digital Imaging 2022, which writes the document.
    """
    from highdicom import sr

    made_by = sr.AlgorithmIdentification(
        "lowdose lesion detector (LIDnet), a research algorithm", __version__, [USE, *settings]
    )
    groups = [_group(number, lesion, evidence, made_by) for number, lesion in enumerate(lesions, start=1)]
    device = sr.DeviceObserverIdentifyingAttributes(generate_uid(entropy_srcs=[SOFTWARE, __version__]), name=SOFTWARE)
    content = sr.MeasurementReport(
        sr.ObservationContext(observer_device_context=sr.ObserverContext(codes.DCM.Device, device)),
        procedure_reported=codes.cid100.CTUnspecifiedBodyRegion,
        imaging_measurements=groups or [_none_found(made_by)],
        title=codes.DCM.ImagingMeasurementReport,
    )
    with suppress_pydicom_warnings():
        document = sr.Comprehensive3DSR(
            evidence.images, content, new_uid(), SERIES_NUMBER, new_uid(), 1, manufacturer=SOFTWARE,
            manufacturer_model_name="lesion detector", software_versions=__version__, device_serial_number="0",
            series_description=DESCRIPTION, is_complete=True, is_final=False,
        )  # fmt: skip
        stream = io.BytesIO()
        document.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _group(number: int, lesion: DetectedLesion, evidence: Evidence, made_by: sr.AlgorithmIdentification) -> Any:
    from highdicom import sr

    certainty, hu = round(100 * lesion.score, 2), round(lesion.mean_hu, 2)
    measured = [
        sr.Measurement(codes.DCM.CertaintyOfFinding, certainty, codes.UCUM.Percent),
        sr.Measurement(codes.DCM.AttenuationCoefficient, hu, codes.UCUM.HounsfieldUnit, derivation=codes.SCT.Mean),
    ]
    return sr.VolumetricROIMeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(new_uid(), f"lesion {number}"),
        [_region(each, evidence) for each in lesion.boxes],
        finding_type=codes.SCT.Lesion,
        algorithm_id=made_by,
        measurements=measured,
    )


def _region(found: LesionBox, evidence: Evidence) -> sr.ImageRegion:
    """Return the box in one image: (column, row) pairs, 0 at the outer edge of the first pixel, as in boxes."""
    from highdicom import sr

    top, left, bottom, right = found.box
    corners = np.array([[left, top], [right, top], [right, bottom], [left, bottom], [left, top]])
    image = evidence.slices[found.slice]
    frames = None if image.frame is None else [image.frame]
    source = sr.SourceImageForRegion(image.sop_class, image.sop_instance, frames)
    return sr.ImageRegion(sr.GraphicTypeValues.POLYLINE, corners, source)


def _none_found(made_by: sr.AlgorithmIdentification) -> Any:
    from highdicom import sr

    return sr.MeasurementsAndQualitativeEvaluations(
        sr.TrackingIdentifier(new_uid(), "lesions"),
        finding_type=codes.SCT.Lesion,
        algorithm_id=made_by,
        measurements=[sr.Measurement(codes.SCT.NumberOfLesions, 0, codes.UCUM.NoUnits)],
    )
