"""Header values that may tell the stacks of one series apart: phases, time points, energies, reconstructions."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from pydicom import Dataset
from pydicom.datadict import keyword_for_tag, tag_for_keyword
from pydicom.tag import BaseTag, Tag

from lowdose.io.dicom.image import SliceHeader
from lowdose.io.dicom.open_file import read_data
from lowdose.io.dicom.pydicom_warnings import suppress_pydicom_warnings

KNOWN = """
AcquisitionNumber TemporalPositionIdentifier TemporalPositionIndex NominalPercentageOfCardiacPhase
NominalPercentageOfRespiratoryPhase TriggerTime NominalCardiacTriggerDelayTime RespiratoryCyclePosition
MonoenergeticEnergyEquivalent MultienergyCTPathIndex KVP ImageType FrameType ConvolutionKernel ConvolutionKernelGroup
ReconstructionAlgorithm FilterType ReconstructionDiameter SliceThickness ContrastBolusAgent SeriesDescription
ImageComments EchoNumbers StackID FrameAcquisitionNumber AcquisitionDateTime FrameAcquisitionDateTime AcquisitionTime
"""
"""Attributes that tell stacks apart, those that name a phase or an energy before those that merely differ."""
KNOWN_NAMES = KNOWN.split()
GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
PER_FRAME = Tag(GROUPS[1])
MAX_BYTES = 256
"""Longest value that is compared."""

Attributes = dict[str, bytes]
"""Values by keyword, or by tag where there is none, as bytes of one kind of encoding."""


def read_attributes(images: Sequence[SliceHeader], known_only: bool) -> list[Attributes]:
    """Return the attributes of every image: the known ones at its top, or all that its header holds."""
    by_file: dict[Path, list[int]] = {}
    for index, image in enumerate(images):
        by_file.setdefault(image.path, []).append(index)
    wanted = [tag_for_keyword(name) for name in (*KNOWN_NAMES, *GROUPS)] if known_only else None
    result: list[Attributes] = [{} for _ in images]
    with suppress_pydicom_warnings():
        for path, indices in by_file.items():
            with path.open("rb") as file:
                header = read_data(path, file, **({} if wanted is None else {"specific_tags": wanted}))[0]
            common = dict(_elements(header) if known_only else _nested([header]))
            per_frame = header.get(GROUPS[1]) or []
            for index in indices:
                result[index] = common | dict(_nested(per_frame[images[index].frame : images[index].frame + 1]))
    return result


def _elements(data: Dataset) -> Iterator[tuple[str, bytes]]:
    """Yield the short values of a data set that are no sequences."""
    for tag in data.keys():  # noqa: SIM118 - items would decode every value
        element = data.get_item(tag)
        if element is None or element.VR == "SQ":
            continue
        value = element.value
        encoded = value if isinstance(value, bytes) else b"" if value is None else str(value).encode()
        if 0 < len(encoded.strip(b"\0 ")) <= MAX_BYTES:
            yield keyword_for_tag(tag) or str(Tag(tag)), encoded.strip(b"\0 ")


def _nested(groups: Sequence[Dataset]) -> Iterator[tuple[str, bytes]]:
    """Yield the values of data sets and of all sequences in them, but for the groups of single frames."""
    for data in groups:
        for tag in data.keys():  # noqa: SIM118
            if data.get_item(tag).VR == "SQ" and tag != PER_FRAME:
                yield from _nested(_items(data, tag))
        yield from _elements(data)


def _items(data: Dataset, tag: BaseTag) -> list[Dataset]:
    """Return the items of a sequence; none where they cannot be read."""
    try:
        return list(data[tag].value)
    except Exception:  # pydicom raises errors of many types
        return []
