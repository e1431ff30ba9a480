"""Words as files and page: what is shared, what changed, what is said of a slice that drifted."""

from __future__ import annotations

import csv
import io
import json

import numpy as np
import pytest

from lowdose.evaluation import words
from lowdose.evaluation.images import FULL, LOW
from lowdose.evaluation.words import WordReading
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.language import autoencoder_file
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.report import overlay, words_page
from lowdose.report import words as report
from support import tiny_word_autoencoder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LanguageGuidedAutoencoder:
    return autoencoder_file.load_autoencoder(
        tiny_word_autoencoder.write(
            tmp_path_factory.mktemp("NAME^OF^PATIENT") / "words.safetensors", limits=tiny_word_autoencoder.EVERYTHING
        )
    )


@pytest.fixture(scope="module")
def reading(tiny: LanguageGuidedAutoencoder) -> WordReading:
    """A model that leaves the slice alone but for one region; layer 2 of this pyramid are cells of 16 pixels."""
    low = np.random.default_rng(0).normal(0, 200, (128, 100)).astype(np.float32)
    changed = low.copy()
    changed[64:96, 32:64] += 1500
    images = {LOW: low, "<same>": low, "liar": changed, FULL: low}
    place = words.SliceLocation("case <1>", 3, 5.0, None)
    return words.read_words(tiny, images, place, made=["<same>", "liar"], vocabulary="all")


def test_only_the_altered_image_is_flagged_and_at_the_altered_place(reading: WordReading) -> None:
    assert not reading.drifts["<same>"].flagged.any()
    found = reading.drifts["liar"]
    assert found.flagged.any()
    most = np.unravel_index(found.score.argmax(), found.score.shape)
    assert 4 <= most[0] < 6
    assert 2 <= most[1] < 4
    lines = report.drift_warnings(reading)
    assert len(lines) == 1
    assert lines[0].startswith("slice 4: liar says something else than its input")
    rows = report.changes(reading, "liar")
    flags = [row["flagged"] for row in rows]
    assert flags == sorted(flags, reverse=True)
    assert all(row["full"] == row["before"] for row in rows)
    shared = {(row["image"], row["with"]): row["same_places"] for row in report.compared(reading)}
    assert shared[LOW, FULL] == shared["<same>", LOW] == 1
    assert shared["liar", LOW] < 1
    assert found.limit == pytest.approx(min(found.usual, 0.5))


def test_words_of_one_structure_are_no_change() -> None:
    assert not report.other_structure("lung", "lungs")
    assert not report.other_structure("lung", "no word")
    assert report.other_structure("lung", "liver")
    assert report.other_structure("nike", "adidas")
    assert not report.other_structure("nike", "nike")


def test_changes_have_letters_and_name_another_structure_or_drifted(reading: WordReading) -> None:
    rows, drifted = report.changes(reading, "liar"), reading.drifts["liar"]
    assert [row["mark"] for row in rows][: len(report.MARKS)] == list(report.MARKS)[: len(rows)]
    assert sum(row["flagged"] for row in rows) == drifted.flagged.sum()
    assert all(row["flagged"] or row["before"] != row["after"] for row in rows)


def test_by_default_no_word_of_a_foreign_vocabulary_is_shown(tiny: LanguageGuidedAutoencoder) -> None:
    """The words of this autoencoder are none of anatomy."""
    body = np.full((128, 128), 40.0, np.float32)
    found = words.read_words(tiny, {LOW: body, FULL: body}, words.SliceLocation())
    entry = report.word_entry(found)
    positions = [one for layer in entry["words"][LOW] for one in layer["positions"]]
    assert {one["word"] for one in positions} == {"no word"}
    assert {one["shown"] for one in positions} == {False}
    assert entry["compared"][0]["same_places"] is None
    page = words_page.page(tiny, [found], {}, SOFT_TISSUE, (1, 1), [])
    assert "0 of 64 regions have a word; 0 are air, 64 have none that is certain" in page
    assert "no words" in page
    assert "For research" not in page
    assert "word3" not in page


def test_json_and_csv_say_all_and_no_folder(tiny: LanguageGuidedAutoencoder, reading: WordReading) -> None:
    text = report.words_json(tiny, [report.word_entry(reading, 2)], report.drift_warnings(reading), {"series": "1.2"})
    assert "NAME^OF^PATIENT" not in text
    content = json.loads(text)
    (found,) = content["slices"]
    assert content["autoencoder"] == {"name": "words.safetensors", "sha256": tiny.sha256}
    assert [len(layer["positions"]) for layer in found["words"]["liar"]] == [2 * 1, 8 * 7]
    last = found["words"]["liar"][1]["positions"][-1]
    assert last["rows"] == [112, 128]
    assert last["columns"] == [96, 100]
    assert {"word", "token", "distance", "readable"} < set(last)
    rows = list(csv.DictReader(io.StringIO(report.word_counts_csv({LOW: [reading.words[LOW]]}))))
    assert sum(int(row["count"]) for row in rows if row["layer"] == "2") == 56
    assert sum(float(row["share"]) for row in rows if row["layer"] == "1") == pytest.approx(1, abs=1e-5)


def test_page_and_pictures(tiny: LanguageGuidedAutoencoder, reading: WordReading) -> None:
    said = {name: [found] for name, found in reading.words.items()}
    page = words_page.page(tiny, [reading], said, SOFT_TISSUE, (1, 9), report.drift_warnings(reading))
    assert page.count("data:image/png;base64,") == 4
    assert "1 of 9 slices" in page
    assert "&lt;same&gt;: no region drifted" in page
    assert "<same>" not in page
    assert "NAME^OF^PATIENT" not in page
    assert overlay.side_by_side(reading, SOFT_TISSUE).startswith(b"\x89PNG")


def test_slices_are_spread_evenly() -> None:
    assert words.evenly_spread(5, 12) == words.evenly_spread(5, 0) == [0, 1, 2, 3, 4]
    assert words.evenly_spread(100, 4) == [12, 37, 62, 87]
    assert len(set(words.evenly_spread(13, 12))) == 12
