"""The ten best readable words for every slice, for ``judge.py``; and a picture of some slices with their words.

python benchmarks/words/produce.py NORMAL_DOSE WORDS.json [--weights FILE] [--picture PICTURE.png]
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import judge
import matplotlib as mpl
import numpy as np

from lowdose.hounsfield import SOFT_TISSUE
from lowdose.language import vocabulary
from lowdose.language.relevance import AnatomyRelevance
from lowdose.networks import anatomy
from lowdose.networks.segmentation import segment_slice

BEST = 10
SHOWN = 12


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--picture", type=Path)
    given = parser.parse_args()
    words = vocabulary.load_vocabulary()
    relevance = AnatomyRelevance(anatomy.load_anatomy(given.weights), words)
    readable = np.flatnonzero(words.readable)
    table, images = {}, {}
    for key, item in judge.slices(given.folder):
        classes = segment_slice(relevance.network, item.in_air, item.pixel_mm)
        scores = relevance.scores_of(classes, item.pixel_mm)[readable]
        best = readable[np.argsort(-scores, kind="stable")[:BEST]]
        table[key] = [words.tokens[token] for token in best]
        images[key] = (item.in_air, item.aspect)
    given.out.write_text(json.dumps(table, indent=1))
    if given.picture:
        draw(table, images, given.picture)


def shown(table: dict[str, list[str]]) -> list[str]:
    """Twelve slices, evenly spread over the series, none chosen by how well it does."""
    series: dict[str, list[str]] = {}
    for key in table:
        series.setdefault(key.split("/")[0], []).append(key)
    each = SHOWN // len(series)
    return [keys[int(i)] for keys in series.values() for i in np.linspace(0, len(keys) - 1, each).round()]


def draw(table: dict[str, list[str]], images: dict[str, tuple[np.ndarray, float]], path: Path) -> None:
    mpl.use("Agg")
    from matplotlib import pyplot as plt

    facts, lexicon = judge.load_facts(), judge.load_lexicon()
    figure, axes = plt.subplots(3, 4, figsize=(15, 13.5))
    for key, axis in zip(shown(table), axes.flat, strict=True):
        hu, aspect = images[key]
        axis.imshow(SOFT_TISSUE.apply(hu), cmap="gray", aspect=aspect)
        verdicts = judge.judge(table[key], facts[key], lexicon)
        told = [word if verdict == "right" else f"({word})" for word, verdict in zip(table[key], verdicts, strict=True)]
        axis.set_title(f"{key}\n{', '.join(told[:5])}\n{', '.join(told[5:])}", fontsize=9)
        axis.axis("off")
    figure.suptitle("Ten best words a slice; in brackets those that the rule does not count as right", fontsize=11)
    figure.tight_layout()
    figure.savefig(path, dpi=75)


if __name__ == "__main__":
    main()
