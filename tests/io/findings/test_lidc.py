"""Reading sessions of LIDC-IDRI: outlines outside of the nodule, several readers, small nodules, holes."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pydicom
import pytest

from lowdose.errors import CannotDecode, NothingToRead
from lowdose.io.findings.placement import place_findings, series_slices
from lowdose.io.findings.reading import read_findings
from lowdose.io.open_series import open_source
from support.synthetic_dicom import make_series

Roi = tuple[str, list[tuple[int, int]], bool]
"""SOPInstanceUID, outline of (x, y), and whether it is no hole."""


def outline(top: int, left: int, bottom: int, right: int) -> list[tuple[int, int]]:
    """Return (x, y) of every pixel of a rectangular outline in order, whose rows and columns are these."""
    over = [(x, top) for x in range(left, right)] + [(right, y) for y in range(top, bottom)]
    back = [(x, bottom) for x in range(right, left, -1)] + [(left, y) for y in range(bottom, top, -1)]
    return over + back


def write(path: Path, sessions: Sequence[Sequence[Sequence[Roi]]], non_nodules: int = 0) -> Path:
    """Write reading sessions of nodules of outlines."""
    body = ""
    for session in sessions:
        nodules = "".join(
            f"<unblindedReadNodule><noduleID>{number}</noduleID>{''.join(map(_roi, nodule))}</unblindedReadNodule>"
            for number, nodule in enumerate(session)
        )
        body += f"<readingSession>{nodules}{'<nonNodule><locus/></nonNodule>' * non_nodules}</readingSession>"
    head = '<?xml version="1.0" encoding="UTF-8"?>\r\n<LidcReadMessage uid="1.2" xmlns="http://www.nih.gov">\r\n'
    path.write_text(f"{head}<ResponseHeader/>{body}</LidcReadMessage>", encoding="utf-8")
    return path


def _roi(roi: Roi) -> str:
    uid, points, included = roi
    edges = "".join(f"<edgeMap><xCoord>{x}</xCoord><yCoord>{y}</yCoord></edgeMap>" for x, y in points)
    return (
        f"<roi><imageZposition>-125.0 </imageZposition><imageSOP_UID>{uid}</imageSOP_UID>"
        f"<inclusion>{str(included).upper()}</inclusion>{edges}</roi>"
    )


@pytest.fixture
def uids(tmp_path: Path) -> list[str]:
    return [pydicom.dcmread(path).SOPInstanceUID for path in make_series(tmp_path / "ct", 4)]


def placed(annotations: Path, series: Path) -> list[list[tuple[int, tuple[float, ...]]]]:
    with open_source(series) as source:
        found = place_findings(read_findings(annotations).findings, series_slices(source))
    return [[(index, part.box) for index, part in each.parts] for each in found]


def test_the_outline_itself_is_outside_of_the_nodule(tmp_path: Path, uids: list[str]) -> None:
    """An outline in rows 10 and 16 and columns 20 and 30 encloses rows 11 to 15 and columns 21 to 29."""
    path = write(
        tmp_path / "a.xml", [[[(uids[1], outline(10, 20, 16, 30), True), (uids[3], outline(5, 5, 7, 7), True)]]]
    )
    assert placed(path, tmp_path / "ct") == [[(1, (11.0, 21.0, 16.0, 30.0)), (3, (6.0, 6.0, 7.0, 7.0))]]


def test_an_outline_that_encloses_nothing_is_the_nodule(tmp_path: Path, uids: list[str]) -> None:
    path = write(tmp_path / "a.xml", [[[(uids[0], [(20, 10), (21, 10), (21, 11), (20, 11)], True)]]])
    assert placed(path, tmp_path / "ct") == [[(0, (10.0, 20.0, 12.0, 22.0))]]


def test_an_outline_that_is_no_inclusion_is_a_hole(tmp_path: Path, uids: list[str]) -> None:
    path = write(
        tmp_path / "a.xml", [[[(uids[0], outline(10, 10, 20, 20), True), (uids[0], outline(12, 12, 15, 16), False)]]]
    )
    with open_source(tmp_path / "ct") as source:
        (found,) = place_findings(read_findings(path).findings, series_slices(source))
    ((_, part),) = found.parts
    mask = part.mask((64, 64))
    assert (part.box, mask.sum(), mask[13:15, 13:16].any()) == ((11.0, 11.0, 20.0, 20.0), 81 - 6, False)


def test_readers_that_overlap_mean_one_nodule_of_what_half_of_them_outlined(tmp_path: Path, uids: list[str]) -> None:
    """Rows 11-19, 13-21 and 17-25: at least two of three outlined rows 13-21; another nodule is another finding.

    The first and the third share rows 17 to 19, as do all; a slice that one of three marked does not count.
    """
    sessions = [
        [[(uids[0], outline(10, 10, 20, 20), True), (uids[1], outline(10, 10, 20, 20), True)]],
        [[(uids[0], outline(12, 10, 22, 20), True)], [(uids[0], outline(40, 40, 50, 50), True)]],
        [[(uids[0], outline(16, 10, 26, 20), True)]],
    ]
    assert placed(write(tmp_path / "a.xml", sessions), tmp_path / "ct") == [
        [(0, (13.0, 11.0, 22.0, 20.0))], [(0, (41.0, 41.0, 50.0, 50.0))],
    ]  # fmt: skip


def test_outlines_are_joined_through_one_that_meets_both(tmp_path: Path, uids: list[str]) -> None:
    sessions = [
        [[(uids[0], outline(10, 10, 20, 20), True)]],
        [[(uids[0], outline(30, 10, 40, 20), True)]],
        [[(uids[0], outline(15, 10, 35, 20), True)]],
    ]
    assert len(placed(write(tmp_path / "a.xml", sessions), tmp_path / "ct")) == 1


def test_marks_of_a_single_point_are_left_out_and_counted(tmp_path: Path, uids: list[str]) -> None:
    sessions = [[[(uids[0], [(20, 10)], True)], [(uids[0], outline(10, 20, 16, 30), True)]]]
    path = write(tmp_path / "a.xml", sessions, non_nodules=2)
    found = read_findings(path)
    assert ([each.label for each in found.findings], list(map(str, found.left_out))) == (
        ["nodule"], [f"{path}: 3 marks of a single point, which have no extent (left out)"],
    )  # fmt: skip
    with pytest.raises(NothingToRead, match="1 marks of a single point"):
        read_findings(write(tmp_path / "b.xml", [sessions[0][:1]]))


def test_slices_that_the_series_lacks_are_left_out(tmp_path: Path, uids: list[str]) -> None:
    sessions = [[[("1.2.3.999", outline(1, 1, 9, 9), True), (uids[2], outline(10, 20, 16, 30), True)]]]
    assert placed(write(tmp_path / "a.xml", sessions), tmp_path / "ct") == [[(2, (11.0, 21.0, 16.0, 30.0))]]


def test_damage_is_named(tmp_path: Path) -> None:
    path = write(tmp_path / "a.xml", [[[("1.2", outline(1, 1, 9, 9), True)]]])
    text = path.read_text()
    path.write_text(text.replace("<xCoord>1</xCoord>", "<xCoord>one</xCoord>", 1))
    with pytest.raises(CannotDecode, match="nodule '0': yCoord '1', xCoord 'one' is no pixel"):
        read_findings(path)
    path.write_text(text.replace("<imageSOP_UID>1.2</imageSOP_UID>", ""))
    with pytest.raises(CannotDecode, match="nodule '0': an outline has no imageSOP_UID"):
        read_findings(path)
    path.write_text(text[:-30])
    with pytest.raises(CannotDecode, match=r"a\.xml: no valid XML .*download it again"):
        read_findings(path)
