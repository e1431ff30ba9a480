"""Find the limits of an autoencoder (``WordLimits``) and write them into a copy of its file.

    python -m experiments.leda.calibrate_limits AUTOENCODER OUT.safetensors calibration.json --real SERIES ...

Drift, from the honest results that ``drift_detection measure`` left in calibration.json: drift_times is 1.5 times the
greatest ratio of a score to the usual one, drift_floor 1.5 times the greatest score of "fast", drift_far 3.5 times that
of "gaussian". Certainty, from slices of SERIES: the least one with which ``RIGHT`` of the words that are shown are
right in both layers, where a word is right when it is one of the candidates of its region (``CellWords``). Take series
that the autoencoder was not trained on.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import save_file

from experiments.common import markdown
from experiments.leda.drift_detection import input_scans
from lowdose.language import autoencoder_file, drift
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.cell_words import LEAST_BODY, CellWords
from lowdose.language.explanation import WORD_LAYERS, explain_slice, vocabulary_of
from lowdose.language.word_limits import DEFAULT_LIMITS, WordLimits
from lowdose.networks import anatomy, segmentation
from lowdose.weights import files

RIGHT = 0.8
"""Share of the shown words that shall be right."""
STEPS = np.round(np.arange(0.0, 0.96, 0.05), 2)
"""Certainties that are tried."""
LEAST_WORDS = 20
"""Words of a layer from which a share is taken."""


class Judged(NamedTuple):
    """One position with a word that could be shown: its layer from 1, its certainty, and whether the word is right."""

    layer: int
    certainty: float
    right: bool


def judged_words(guided: LanguageGuidedAutoencoder, paths: Sequence[Path], each: int) -> Iterator[Judged]:
    """Yield the positions of slices whose region has candidates, and whose word is plausible there."""
    network, cell_words = anatomy.load_anatomy(), CellWords(vocabulary_of(guided))
    for _, hu, pixel_mm in input_scans(paths, each, (), np.random.default_rng(0)):
        explained = explain_slice(guided, hu)
        classes = segmentation.segment_slice(network, hu, pixel_mm)
        padded = np.pad(classes, [(0, -side % explained.stride) for side in hu.shape], mode="symmetric")
        parts = guided.autoencoder.quantiser.parts[:WORD_LAYERS]
        cells = (padded.shape[0] // explained.stride, padded.shape[1] // explained.stride)
        pools = cell_words.pools(padded, parts, cells)
        for number, (layer, part, pool) in enumerate(zip(explained.layers, parts, pools, strict=False), start=1):
            across = len(range(cells[1])[part])
            for row, column in np.argwhere(layer.plausible & (layer.body >= LEAST_BODY)):
                candidates = pool[row * across + column]
                if len(candidates):
                    right = bool((candidates == layer.tokens[row, column]).any())
                    yield Judged(number, float(layer.certainty[row, column]), right)


def share_right(words: Sequence[Judged], layer: int, least: float) -> tuple[float, float]:
    """Return the share of the words of a layer with at least this certainty, and the share of those that is right."""
    here = [word for word in words if word.layer == layer]
    kept = [word.right for word in here if word.certainty >= least]
    if len(kept) < LEAST_WORDS:
        return len(kept) / max(1, len(here)), float("nan")
    return len(kept) / len(here), float(np.mean(kept))


def least_certainty(words: Sequence[Judged]) -> float:
    """Return the least certainty with which enough words are right in both layers, or else the best one.

    A layer with fewer than ``LEAST_WORDS`` words does not count; the default is returned where both have fewer.
    """
    both = np.array([[share_right(words, layer, step)[1] for layer in (1, 2)] for step in STEPS])
    worst = np.where(np.isnan(both), np.inf, both).min(1)
    worst[np.isinf(worst)] = np.nan
    if np.isnan(worst).all():
        return DEFAULT_LIMITS.certainty
    enough = [float(step) for step, right in zip(STEPS, worst, strict=True) if right >= RIGHT]
    return enough[0] if enough else float(STEPS[int(np.nanargmax(worst))])


def drift_limits(rows: Sequence[dict[str, Any]]) -> dict[str, float]:
    """Return the limits of drift for the honest results among the rows of ``drift_detection``."""
    honest = [(row["what"], np.array(row["score"])) for row in rows if row["kind"] == "honest"]
    ratio = max(float(score.max() / np.quantile(score, drift.USUAL_CHANGE)) for _, score in honest)
    highest = {name: max(float(score.max()) for what, score in honest if what == name) for name in ("fast", "gaussian")}
    return {
        "drift_floor": round(1.5 * highest["fast"], 3),
        "drift_times": round(1.5 * ratio, 2),
        "drift_far": round(3.5 * highest["gaussian"], 3),
    }


def main() -> None:
    """Print the shares of right words by certainty, and write the file with its limits."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("autoencoder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("scores", type=Path)
    parser.add_argument("--real", type=Path, nargs="+", required=True)
    parser.add_argument("--each", type=int, default=4, help="slices of each series")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    guided = autoencoder_file.load_autoencoder(arguments.autoencoder)
    words = list(judged_words(guided, arguments.real, arguments.each))
    cells = [
        [f"{step:.2f}", *(f"{value:.0%}" for layer in (1, 2) for value in share_right(words, layer, step))]
        for step in STEPS
    ]
    print(markdown.table(["certainty", "layer 1 shown", "right", "layer 2 shown", "right"], cells))
    limits = WordLimits(certainty=least_certainty(words), **drift_limits(json.loads(arguments.scores.read_text())))
    found = files.read_weights(arguments.autoencoder)
    save_file(found.tensors, arguments.out, found.header | limits.to_header())
    print(limits)


if __name__ == "__main__":
    main()
