"""Limits from scores and words that were made up."""

from __future__ import annotations

import numpy as np
import pytest
from experiments.leda import calibrate_limits, drift_detection
from experiments.leda.calibrate_limits import Judged

from lowdose.language.word_limits import WordLimits


def test_drift_limits_are_the_multiples_that_are_stated() -> None:
    even = np.full((8, 8), 0.02)
    peak = even.copy()
    peak[0, 0] = 0.06
    blurred = np.full((8, 8), 0.1)
    rows = [
        {"kind": "honest", "what": "fast", "score": peak.tolist()},
        {"kind": "honest", "what": "gaussian", "score": blurred.tolist()},
        {"kind": "pasted", "what": "liver", "score": (9 * peak).tolist()},
    ]
    assert calibrate_limits.drift_limits(rows) == {"drift_floor": 0.09, "drift_times": 4.5, "drift_far": 0.35}


def test_the_least_certainty_with_which_enough_words_are_right() -> None:
    words = [Judged(layer, certainty, certainty > 0.42) for layer in (1, 2) for certainty in np.linspace(0, 1, 101)]
    found = calibrate_limits.least_certainty(words)
    shown, right = calibrate_limits.share_right(words, 1, found)
    assert right >= calibrate_limits.RIGHT > calibrate_limits.share_right(words, 1, found - 0.05)[1]
    assert shown == pytest.approx(1 - found, abs=0.02)


def test_too_few_words_have_no_share() -> None:
    words = [Judged(layer, 0.1, False) for layer in (1, 2) for _ in range(50)] + [Judged(1, 0.9, True)] * 3
    assert np.isnan(calibrate_limits.share_right(words, 1, 0.5)[1])
    assert calibrate_limits.least_certainty(words) <= 0.1
    assert calibrate_limits.least_certainty(words[:3]) == WordLimits().certainty


def test_a_result_is_found_at_its_place_only() -> None:
    score, share = np.full((4, 4), 0.05), np.zeros((4, 4))
    score[1, 1] = score[3, 3] = 0.4
    share[1, 1] = 0.5
    row = {"scan": "a", "sd": 20.0, "kind": "pasted", "what": "liver", "score": score.tolist(), "share": share.tolist()}
    missed = {**row, "share": np.roll(share, 1, 0).tolist()}
    limits = WordLimits(drift_floor=0.1, drift_times=4.0)
    table = {line[1]: line for line in drift_detection.detection_rates([row, missed], limits)}
    assert table["liver"][2:5] == ["2 (1)", "1 of 2, 9–91 %", "1.50"]
