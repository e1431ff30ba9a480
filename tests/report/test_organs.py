"""The organs' page and tables: what is marked, what is left blank, what is drawn."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace

import numpy as np
import pytest

from lowdose.evaluation.images import FULL, LOW
from lowdose.evaluation.organ_statistics import OrganRow, OrganSample
from lowdose.evaluation.organs import OrganEvaluation
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.report import organ_tables, organs, outlines
from lowdose.report.organ_tables import DICE, HD95, Measure

NAMES = {3: "liver", 5: "adrenal_gland", 9: "lung"}


def judgement(cases: int, given: bool = False) -> OrganEvaluation:
    """The liver gains 0.1 with 'net' in every case, the adrenal gland loses 0.1; the lung cannot be judged.

    HD95 is 10 mm at a Dice of 0, and 0 at 1.
    """
    result = OrganEvaluation("anatomy", "b" * 64, given, 0.5, "cpu", [LOW, "net", FULL], {"net": "a" * 64}, NAMES)
    for number in range(1, cases + 1):
        for image, liver, gland in ((LOW, 0.8, 0.5), ("net", 0.9, 0.4), (FULL, 0.95, 0.6)):
            values = liver + 0.001 * number, gland - 0.002 * number, np.nan
            for name, value in zip(NAMES.values(), values, strict=True):
                dice = np.nan if image == FULL and not given else value
                hu = np.nan if name == "lung" else {LOW: 52.0, "net": 49.5, FULL: 50.0}[image]
                sizes = 10.0 * number, 12.0 * number
                result.rows.append(
                    OrganRow(f"case <{number}>", number, image, name, dice, 10 * (1 - dice), *sizes, hu, 20.0)
                )
    return result


def sample(given: bool = False) -> OrganSample:
    hu = np.full((60, 80), -1000, np.float32)
    hu[20:40, 10:60] = 40
    labels = np.zeros(hu.shape, np.uint8)
    labels[25:35, 20:30], labels[25:35, 40:50] = 3, 5
    versions = {LOW: hu, "net": hu, FULL: hu}
    return OrganSample("case <1>", 12.5, 1.0, versions, dict.fromkeys(versions, labels), labels if given else None)


@pytest.mark.parametrize("given", [False, True])
def test_csv_has_every_number_and_blanks(given: bool) -> None:
    rows = list(csv.DictReader(io.StringIO(organs.table_csv(judgement(2, given)))))
    assert len(rows) == 2 * 3 * 3
    found = {(row["case"], row["image"], row["organ"]): row for row in rows}
    assert float(found["case <2>", "net", "liver"]["dice"]) == pytest.approx(0.902)
    assert found["case <1>", "net", "lung"]["dice"] == found["case <1>", "net", "lung"]["mean_hu"] == ""
    assert (found["case <1>", FULL, "liver"]["dice"] == "") is not given
    assert float(found["case <2>", LOW, "liver"]["reference_ml"]) == 24
    assert {row["strength"] for row in rows if row["image"] == "net"} == {"0.5"}
    assert {row["strength"] for row in rows if row["image"] == LOW} == {""}


def test_json_is_json_and_says_what_it_holds() -> None:
    uids: list[dict[str, object]] = [{"case": "case <1>", "low": {"series": "1.2.3"}}]
    content = json.loads(organs.as_json(judgement(2), uids), parse_constant=lambda name: pytest.fail(name))
    assert content["segmenter"] == {"name": "anatomy", "sha256": "b" * 64}
    assert content["reference"] == "what anatomy draws on the full-dose images"
    assert content["series"] == uids
    dice = {(entry["organ"], entry["image"]): entry for entry in content["dice"]}
    assert dice["all organs", "net"]["mean"] == pytest.approx((0.9015 + 0.397) / 2)
    assert (dice["liver", LOW]["n_series"], dice["liver", LOW]["interval_of"]) == (2, "series")
    assert ("liver", FULL) not in dice
    (change,) = (entry for entry in content["dice_change_to_low_dose"] if entry["organ"] == "liver")
    assert change["mean"] == pytest.approx(0.1)
    far = {(entry["organ"], entry["image"]): entry["mean"] for entry in content["hd95_mm"]}
    assert far["liver", "net"] == pytest.approx(10 * (1 - 0.9015))
    nearer = {entry["organ"]: entry["mean"] for entry in content["hd95_change_to_low_dose"]}
    assert nearer == pytest.approx({"all organs": 0.0, "liver": -1.0, "adrenal_gland": 1.0})
    hu = {(entry["organ"], entry["image"]): entry for entry in content["hu"]}
    assert hu["liver", "net"]["mean_hu_change_to_full_dose"] == pytest.approx(-0.5)
    assert hu["liver", FULL]["mean_hu_change_to_full_dose"] is None
    assert hu["liver", LOW]["reference_ml"] == pytest.approx(18.0)
    assert ("lung", LOW) not in hu


def test_page_escapes_names_and_is_self_contained() -> None:
    result = judgement(2)
    result.samples.append(sample())
    result.warnings.append("odd <gaps>")
    text = organs.page(result)
    assert "case &lt;1&gt;" in text
    assert "odd &lt;gaps&gt;" in text
    assert "case <1>" not in text
    assert text.count("data:image/png;base64,") == 1
    assert "adrenal gland" in text
    assert "http" not in text
    assert "2 series of 2 patients" in text
    assert "says little of other patients" in text
    assert "+0.100" in text
    assert "-0.50" in text
    assert "nan" not in text
    assert text.count("<th>full dose</th>") == 1  # of the HU: in the tables of Dice and HD95 it is the reference
    assert organs.page(judgement(2, given=True)).count("<th>full dose</th>") == 3


def test_without_distances_the_page_has_no_table_of_them() -> None:
    result = judgement(2)
    assert "Surface distance" in organs.page(result)
    result.rows[:] = [replace(row, hd95_mm=np.nan) for row in result.rows]
    text = organs.page(result)
    assert "Surface distance" not in text
    assert "Dice of every organ" in text
    assert json.loads(organs.as_json(result, []))["hd95_mm"] == []


def test_a_change_is_marked_only_where_patients_tell() -> None:
    def marks(result: OrganEvaluation, organ: str, measure: Measure = DICE) -> tuple[bool, bool]:
        (cell,) = organ_tables._agreement_row(result, measure, organ, [LOW, "net"])["changes"]
        return cell["good"], cell["bad"]

    few, many = judgement(2), judgement(6)
    assert marks(few, "liver") == marks(few, "adrenal_gland") == (False, False)
    assert marks(many, "liver") == (True, False)
    assert marks(many, "adrenal_gland") == (False, True)
    assert marks(many, "liver", HD95) == (True, False)  # it is nearer by 1 mm
    assert marks(many, "adrenal_gland", HD95) == (False, True)
    for row in list(many.rows):
        if row.image == "net" and row.patient > 3:
            many.rows[many.rows.index(row)] = replace(row, dice=row.dice - 0.2)
    assert marks(many, "liver") == (False, False)


def test_best_is_the_highest_dice_or_the_smallest_distance_and_full_dose_takes_no_part() -> None:
    row = organ_tables._agreement_row(judgement(1, given=True), DICE, "liver", [LOW, "net", FULL])
    assert [cell["good"] for cell in row["cells"]] == [False, True, False]
    far = organ_tables._agreement_row(judgement(1, given=True), HD95, "liver", [LOW, "net", FULL])
    assert [cell["good"] for cell in far["cells"]] == [False, True, False]
    assert [cell["text"] for cell in far["cells"]] == ["1.99", "0.99", "0.49"]
    assert row["series"] == 1
    assert organ_tables._agreement_row(judgement(1, given=True), DICE, "adrenal_gland", [LOW, "net", FULL])["cells"][0][
        "good"
    ]


def test_a_page_without_any_organ() -> None:
    result = judgement(1)
    result.rows.clear()
    assert "No organ was compared" in organs.page(result)
    assert json.loads(organs.as_json(result, []))["dice"] == []


def test_pictures_cut_to_the_body_with_one_colour_an_organ() -> None:
    for given in (False, True):
        assert outlines.picture(sample(given), NAMES, SOFT_TISSUE).startswith(b"\x89PNG")
    rows, columns = outlines.body_crop(sample().images[FULL])
    assert (rows, columns) == (slice(14, 46), slice(4, 66))
    assert outlines.body_crop(np.full((8, 9), -1000, np.float32)) == (slice(0, 8), slice(0, 9))
    inks = outlines.colours(sample(), NAMES)
    assert list(inks) == [3, 5]
    everything = np.arange(118, dtype=np.uint8)[None]
    busy = replace(sample(), labels={LOW: everything})
    assert len(set(outlines.colours(busy, dict.fromkeys(range(1, 118), "x")).values())) == 117


def test_the_outlines_are_in_the_picture() -> None:
    import matplotlib.image

    drawn = matplotlib.image.imread(io.BytesIO(outlines.picture(sample(), NAMES, SOFT_TISSUE)))[..., :3]
    for ink in outlines.colours(sample(), NAMES).values():
        rgb = np.array([int(ink[k : k + 2], 16) for k in (1, 3, 5)]) / 255
        assert np.count_nonzero(np.abs(drawn - rgb).max(axis=-1) < 0.1) > 50
