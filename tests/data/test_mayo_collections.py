"""Both Mayo collections as they are delivered, and the names they come under."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest

from lowdose.data.training_set import open_training_set
from lowdose.errors import InvalidSetting, NothingToRead
from lowdose.io.dicom.derivation import new_uid
from lowdose.io.mayo import case_in, case_key, case_of
from lowdose.io.pairing import find_pairs, open_pairs, search_pairs

Scan = Callable[..., np.ndarray]


def touch(root: Path, *folders: str) -> Path:
    for folder in folders:
        (root / folder).mkdir(parents=True)
        for number in (1, 2):
            (root / folder / f"{number}.IMA").touch()
    return root


def found(root: Path) -> dict[str, tuple[str, str]]:
    return {
        pair.name: (pair.low.relative_to(root).as_posix(), pair.full.relative_to(root).as_posix())
        for pair in find_pairs(root)
    }


def test_patient_folders_with_dose_folders(tmp_path: Path) -> None:
    root = touch(
        tmp_path, "L067/full_1mm", "L067/quarter_1mm", "L067/full_3mm_sharp", "L067/quarter_3mm_sharp",
        "L096/FD_1mm", "L096/QD_1mm", "L109/Full Dose 3 mm", "L109/Quarter-Dose 3 mm",
    )  # fmt: skip
    assert found(root) == {
        "L067/1mm": ("L067/quarter_1mm", "L067/full_1mm"),
        "L067/3mm_sharp": ("L067/quarter_3mm_sharp", "L067/full_3mm_sharp"),
        "L096/1mm": ("L096/QD_1mm", "L096/FD_1mm"),
        "L109/3_mm": ("L109/Quarter-Dose 3 mm", "L109/Full Dose 3 mm"),
    }


def test_the_tree_of_the_grand_challenge(tmp_path: Path) -> None:
    folders = []
    for kind, suffix in (("1mm B30", "1mm"), ("3mm D45", "3mm_sharp")):
        for case in ("L067", "L096"):
            folders += [f"{kind}/{dose}_{suffix}/{case}/{dose}_{suffix}" for dose in ("full", "quarter")]
    root = touch(tmp_path, *folders, "3mm B30/QD_3mm/L506", "3mm B30/FD_3mm/L506", "3mm B30/FD_3mm/L333")
    names = found(root)
    assert names.pop("3mm B30/3mm/L506") == ("3mm B30/QD_3mm/L506", "3mm B30/FD_3mm/L506")
    assert names == {
        f"{kind}/{suffix}/{case}/{suffix}": (
            f"{kind}/quarter_{suffix}/{case}/quarter_{suffix}",
            f"{kind}/full_{suffix}/{case}/full_{suffix}",
        )
        for kind, suffix in (("1mm B30", "1mm"), ("3mm D45", "3mm_sharp"))
        for case in ("L067", "L096")
    }
    assert search_pairs(root).warnings == [f"{root}/3mm B30/FD_3mm/L333: has no partner in the other tree; passed over"]


def test_the_tree_of_the_cancer_imaging_archive(tmp_path: Path) -> None:
    base = "manifest-1/LDCT-and-Projection-data"
    root = touch(
        tmp_path,
        f"{base}/L004/12-23-2021-NA-NA-40641/1.000000-Full dose images-63186",
        f"{base}/L004/12-23-2021-NA-NA-40641/1.000000-Low Dose Images-41625",
        f"{base}/L004/12-23-2021-NA-NA-40641/1.000000-Full dose projections-11111",
        f"{base}/L004/12-23-2021-NA-NA-40641/1.000000-Low dose projections-22222",
        f"{base}/C030/12-23-2021-NA-NA-00817/2.000000-LOW DOSE IMAGES-21402",
        f"{base}/C030/12-23-2021-NA-NA-00817/1.000000-FULL DOSE IMAGES-42665",
        f"{base}/C111/01-19-2022-NA-NA-73373/1.000000-Low Dose Images-50353",
        f"{base}/C111/01-13-2022-NA-NA-73373/1.000000-Full Dose Images-62126",
        f"{base}/L012/02-04-2022-NA-NA-1/304.000000-Full Dose Images-1234",
    )
    result = search_pairs(root)
    assert {pair.name: (pair.low.name[:17], pair.full.name[:18]) for pair in result.pairs} == {
        f"{base}/C030/12-23-2021-NA-NA-00817": ("2.000000-LOW DOSE", "1.000000-FULL DOSE"),
        f"{base}/L004/12-23-2021-NA-NA-40641": ("1.000000-Low Dose", "1.000000-Full dose"),
        "C111": ("1.000000-Low Dose", "1.000000-Full Dose"),
    }
    assert {case_in(pair.name) for pair in result.pairs} == {"L004", "C030", "C111"}
    projections, alone = sorted(result.warnings, key=lambda text: "L012" in text)
    assert "Full dose projections-11111: holds projections (DICOM-CT-PD), not images, as do 1 more" in projections
    assert alone.endswith("304.000000-Full Dose Images-1234: has no partner at the other dose; passed over")


def test_two_candidates_of_a_case_are_not_guessed(tmp_path: Path) -> None:
    root = touch(
        tmp_path, "L004/a/1.000000-Low Dose Images-1", "L004/b/1.000000-Low Dose Images-2",
        "L004/c/1.000000-Full Dose Images-3",
    )  # fmt: skip
    with pytest.raises(InvalidSetting, match="which of them"):
        search_pairs(root)


def test_projections_alone_are_no_pair(tmp_path: Path) -> None:
    touch(tmp_path, "L004/s/1.000000-Low dose projections-1", "L004/s/1.000000-Full dose projections-2")
    with pytest.raises(NothingToRead, match="holds projections"):
        search_pairs(tmp_path)


def test_a_series_in_parts_is_still_one_pair(tmp_path: Path) -> None:
    root = touch(tmp_path, "p/low/DICOM/a", "p/low/DICOM/b", "p/full/x/1", "p/full/x/2")
    assert found(root) == {"p": ("p/low", "p/full")}


def test_case_names() -> None:
    for name, case in {
        "L143-3mm-B30f": "L143", "1mm B30/full_1mm/L067/full_1mm": "L067", "c016": "C016", "x/N090/L1234": "N090",
        "L1434": None, "AL143": None, "L14": None, "M143": None, "": None,
    }.items():  # fmt: skip
        assert case_in(name) == case, name
    assert case_of("anything", {"0" * 64, case_key("N090")}) == "N090"
    assert case_of("L004", {case_key("N090")}) == "L004"
    assert case_of("anything", {"0" * 64}) is None


def test_the_case_is_kept_with_the_pairs_and_joins_its_series(tmp_path: Path, scan: Scan) -> None:
    for number, (place, patient) in enumerate(
        [("L067/{}_1mm", "Anonymous"), ("L067/{}_3mm", "Anonymous"), ("elsewhere/{}", "L067"), ("other/{}", "X")]
    ):
        study = new_uid()
        for dose in ("full", "quarter"):
            scan(tmp_path / place.format(dose), patient, number, study=study)
    with ExitStack() as stack:
        series = open_pairs(stack, [(pair.name, pair.low, pair.full) for pair in find_pairs(tmp_path)])
        assert {s.name: (s.case, s.patient) for s in series} == {
            "L067/1mm": ("L067", 1), "L067/3mm": ("L067", 1), "elsewhere": ("L067", 1), "other": (None, 2)
        }  # fmt: skip
        items = open_training_set(stack, [tmp_path]).items
        assert {(item.case, item.patient) for item in items} == {("L067", 1), (None, 2)}


def test_whole_trees_can_be_trained_on(tmp_path: Path, scan: Scan) -> None:
    tree = tmp_path / "1mm B30"
    for number, case in enumerate(("L067", "L096")):
        study = new_uid()
        for dose, sd in (("full", 10.0), ("quarter", 20.0)):
            scan(tree / f"{dose}_1mm" / case / f"{dose}_1mm", case, number, sd=sd, study=study)
    with ExitStack() as stack:
        opened = open_training_set(stack, [tmp_path])
        assert (len(opened.items), {item.case for item in opened.items}) == (6, {"L067", "L096"})
        low, full = opened.items[0].read()
        assert low[:5].std() > 1.5 * full[:5].std()
