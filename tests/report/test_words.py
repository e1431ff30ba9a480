"""Words as files and page: what is shared, what changed, what is said of a slice that drifted."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterator

import numpy as np
import pytest

from lowdose.evaluation import words
from lowdose.evaluation.images import FULL, LOW
from lowdose.evaluation.words import WordReading
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.language import autoencoder_file, drift
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.report import overlay, words_page
from lowdose.report import words as report
from support import tiny_word_autoencoder


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> LanguageGuidedAutoencoder:
    return autoencoder_file.load_autoencoder(
        tiny_word_autoencoder.write(tmp_path_factory.mktemp("NAME^OF^PATIENT") / "words.safetensors")
    )


@pytest.fixture(scope="module", autouse=True)
def no_floor() -> Iterator[None]:
    """Weights that never were trained answer faintly, and everywhere."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(drift, "FLOOR", 0.0)
        patch.setattr(drift, "TIMES", 1.0)
        yield


@pytest.fixture(scope="module")
def reading(tiny: LanguageGuidedAutoencoder, no_floor: None) -> WordReading:
    """A model that leaves the slice alone but for one region; layer 2 of this pyramid are cells of 16 pixels."""
    low = np.random.default_rng(0).normal(0, 200, (128, 100)).astype(np.float32)
    changed = low.copy()
    changed[64:96, 32:64] += 1500
    images = {LOW: low, "<same>": low, "liar": changed, FULL: low}
    return words.read_words(tiny, images, words.SliceLocation("case <1>", 3, 5.0, None), made=["<same>", "liar"])


def test_only_the_altered_image_is_flagged_and_at_the_altered_place(reading: WordReading) -> None:
    assert not reading.drifts["<same>"].flagged.any()
    found = reading.drifts["liar"]
    assert found.flagged.any()
    most = np.unravel_index(found.score.argmax(), found.score.shape)
    assert 4 <= most[0] < 6
    assert 2 <= most[1] < 4
    lines = report.drift_warnings(reading)
    assert len(lines) == 1
    assert lines[0].startswith("slice 3: liar says something else than its input")
    rows = report.changes(reading, "liar")
    flags = [row["flagged"] for row in rows]
    assert flags == sorted(flags, reverse=True)
    assert all(row["full"] == row["before"] for row in rows)
    shared = {(row["image"], row["with"]): row["same_places"] for row in report.compared(reading)}
    assert shared[LOW, FULL] == shared["<same>", LOW] == 1
    assert shared["liar", LOW] < 1
    assert drift.drift_limit(found.usual) >= drift.FLOOR


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
    page = words_page.page(tiny, [reading], said, SOFT_TISSUE, 9, report.drift_warnings(reading))
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
