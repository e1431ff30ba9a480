"""Write the ten best words for every real slice, and draw some slices with their words.

    python -m experiments.slice_words.produce_words NORMAL_DOSE WORDS.json [--weights FILE] [--picture PICTURE.png]

NORMAL_DOSE: folder with the series that slices.json names. The words are the readable ones of the shipped vocabulary
that score highest by the relevance of the anatomy network; ``score_words`` judges them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import matplotlib as mpl
import numpy as np

from experiments.slice_words import score_words
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.language import vocabulary
from lowdose.language.relevance import AnatomyRelevance
from lowdose.networks import anatomy
from lowdose.networks.segmentation import segment_slice

WORDS_PER_SLICE = 10
SLICES_DRAWN = 12


def main() -> None:
    """Write the table and the picture."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--picture", type=Path)
    arguments = parser.parse_args()
    words = vocabulary.load_vocabulary()
    relevance = AnatomyRelevance(anatomy.load_anatomy(arguments.weights), words)
    readable = np.flatnonzero(words.readable)
    table, images = {}, {}
    for key, item in score_words.read_slices(arguments.folder):
        classes = segment_slice(relevance.network, item.in_air, item.pixel_mm)
        scores = relevance.scores_of(classes, item.pixel_mm)[readable]
        best = readable[np.argsort(-scores, kind="stable")[:WORDS_PER_SLICE]]
        table[key] = [words.tokens[token] for token in best]
        images[key] = (item.in_air, item.aspect)
    arguments.out.write_text(json.dumps(table, indent=1))
    if arguments.picture:
        draw(table, images, arguments.picture)


def slices_to_draw(table: dict[str, list[str]]) -> list[str]:
    """Return twelve slices, evenly spread over the series; none is chosen by its result."""
    series: dict[str, list[str]] = {}
    for key in table:
        series.setdefault(key.split("/")[0], []).append(key)
    each = SLICES_DRAWN // len(series)
    return [keys[int(i)] for keys in series.values() for i in np.linspace(0, len(keys) - 1, each).round()]


def draw(table: dict[str, list[str]], images: dict[str, tuple[np.ndarray, float]], path: Path) -> None:
    """Draw the slices; words that are not right stand in brackets."""
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    facts, lexicon = score_words.load_facts(), score_words.load_lexicon()
    figure, axes = plt.subplots(3, 4, figsize=(15, 13.5))
    for key, axis in zip(slices_to_draw(table), axes.flat, strict=True):
        hu, aspect = images[key]
        axis.imshow(SOFT_TISSUE.apply(hu), cmap="gray", aspect=aspect)
        verdicts = score_words.verdicts(table[key], facts[key], lexicon)
        shown = [
            word if verdict == "right" else f"({word})" for word, verdict in zip(table[key], verdicts, strict=True)
        ]
        axis.set_title(f"{key}\n{', '.join(shown[:5])}\n{', '.join(shown[5:])}", fontsize=9)
        axis.axis("off")
    figure.suptitle("Ten best words a slice; in brackets those that the rule does not count as right", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=75)


if __name__ == "__main__":
    main()
