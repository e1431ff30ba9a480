"""Words of slices as files: JSON (words, regions and drift) and CSV (frequencies of words)."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from lowdose.evaluation.images import FULL
from lowdose.evaluation.words import WordReading
from lowdose.language import drift, presentation, word_counts
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.cell_words import LEAST_BODY
from lowdose.language.explanation import NO_WORD, WORD_LAYERS, ExplainedLayer, Explanation
from lowdose.language.shown_words import related_words
from lowdose.version import __version__

DEFINITIONS = {
    "no word": f"less than {100 * LEAST_BODY:g} % of the region is body, or its nearest word is none of anatomy, "
    "imaging or image quality, or that word is too uncertain, or the HU of the region do not allow it",
    "plausible": "whether the region holds enough pixels in the range of HU of what the word names",
    "certainty": "what the words of the same structure get of the softmax over minus the squared distances (Eq. 1 of "
    "LEDA), 0 to 1",
    "distance": "Euclidean distance of the layer's residual to its word, in the units of the codebook",
    "relevance": "how well the word fits what the anatomy network sees in the slice, 0 (least) to 1 (best)",
    "rows, columns": "of the region: its first pixel and the one past its last",
    "same places": "share of the positions of layers 1 and 2 with a word that hold the same one",
    "same words": "2 |A and B| / (|A| + |B|) of the different words of layers 1 and 2, wherever they stand",
    "drift": "how far a region's latents moved from those of the input: root of the mean over its cells of the squared "
    "distance, in lengths of a word",
    "flagged": "drift above the limit of the slice: further than removing noise moves the other regions of this slice",
}

MARKS = "ABCDEFGHIJKLMN"
"""Letters of the changed regions of a version."""


def words_json(
    guided: LanguageGuidedAutoencoder,
    readings: Sequence[dict[str, Any]],
    warnings: Sequence[str],
    uids: dict[str, object] | None = None,
    vocabulary: str = presentation.SHOWN,
) -> str:
    """Return the words of all slices as JSON; ``readings`` are results of ``word_entry`` with words of ``vocabulary``.

    No other file holds UIDs.
    """
    content = {
        "lowdose": __version__,
        "autoencoder": {"name": named(guided), "sha256": guided.sha256},
        "limits": asdict(guided.limits),
        "vocabulary": vocabulary,
        "definitions": DEFINITIONS,
        "warnings": list(warnings),
        "slices": list(readings),
        "input": uids or {},
        "use": "research use only, not a medical device",
    }
    return json.dumps(content, indent=1)


def named(guided: LanguageGuidedAutoencoder) -> str:
    """Return the file name of an autoencoder without its folders, whose names may identify a person."""
    return Path(guided.name).name


def word_entry(reading: WordReading, layers: int = WORD_LAYERS) -> dict[str, Any]:
    """Return the words of the first ``layers`` layers of each version of a slice, and the drift of each, for JSON."""
    return {
        **({"case": reading.case} if reading.case else {}),
        "slice": reading.index,
        "position_mm": reading.position,
        "words": {
            name: [_layer_entry(number, layer) for number, layer in enumerate(explained.layers[:layers], start=1)]
            for name, explained in reading.words.items()
        },
        "compared": compared(reading),
        "drift": {
            name: {
                "score": np.round(drifted.score.astype(float), 4).tolist(),
                "usual": round(drifted.usual, 4),
                "limit": round(drifted.limit, 4),
                "rows": drifted.rows,
                "columns": drifted.columns,
                "flagged": [row for row in changes(reading, name) if row["flagged"]],
            }
            for name, drifted in reading.drifts.items()
        },
    }


def _layer_entry(number: int, layer: ExplainedLayer) -> dict[str, Any]:
    """Return one layer for JSON: the word, its fit and the region of each position."""
    positions = []
    for row, rows in enumerate(layer.rows):
        for column, columns in enumerate(layer.columns):
            relevance = {} if layer.relevance is None else {"relevance": round(float(layer.relevance[row, column]), 4)}
            positions.append(
                {
                    "word": layer.words[row][column],
                    "token": int(layer.tokens[row, column]),
                    "readable": bool(layer.readable[row, column]),
                    "shown": bool(layer.shown[row, column]),
                    "certainty": round(float(layer.certainty[row, column]), 4),
                    "plausible": bool(layer.plausible[row, column]),
                    "body": round(float(layer.body[row, column]), 4),
                    "distance": round(float(layer.distance[row, column]), 4),
                    **relevance,
                    "rows": rows,
                    "columns": columns,
                }
            )
    return {"layer": number, "positions": positions}


def compared(reading: WordReading) -> list[dict[str, Any]]:
    """Return the agreement of each version, except full dose, with the first version and with full dose."""
    rows = []
    for name, explained in reading.words.items():
        for other in dict.fromkeys((reading.first, FULL)):
            if other in reading.words and other != name and name != FULL:
                base = reading.words[other]
                rows.append(
                    {
                        "image": name,
                        "with": other,
                        "same_places": _rounded(word_counts.agreement(explained, base)),
                        "same_words": _rounded(word_counts.common(explained, base)),
                    }
                )
    return rows


def _rounded(share: float | None) -> float | None:
    return None if share is None else round(share, 4)


def changes(reading: WordReading, name: str) -> list[dict[str, Any]]:
    """Return the regions of layer 2 of a version that drifted or name another structure than in the first version.

    Flagged regions come first, then those with the largest drift. "mark": the letter of the region in pictures and
    tables, for the first ``len(MARKS)`` regions.
    """
    drifted = reading.drifts[name]
    before, after = (each.layers[: drift.LAYER][-1] for each in (reading.words[reading.first], reading.words[name]))
    full = reading.words.get(FULL)
    rows = [
        {
            "flagged": bool(drifted.flagged[row, column]),
            "drift": round(float(drifted.score[row, column]), 4),
            "before": before.words[row][column],
            "after": after.words[row][column],
            **({} if full is None else {"full": full.layers[: drift.LAYER][-1].words[row][column]}),
            "rows": drifted.rows[row],
            "columns": drifted.columns[column],
        }
        for row, column in np.argwhere(drifted.flagged | drifted.moved)
        if drifted.flagged[row, column] or other_structure(before.words[row][column], after.words[row][column])
    ]
    rows.sort(key=lambda row: (not row["flagged"], -row["drift"]))
    return [{"mark": MARKS[rank] if rank < len(MARKS) else "", **row} for rank, row in enumerate(rows)]


def other_structure(before: str, after: str) -> bool:
    """Return whether two words name different things; a position without a word names nothing."""
    return NO_WORD not in (before, after) and before != after and after not in related_words(before)


def word_counts_csv(said: dict[str, list[Explanation]], layers: int = WORD_LAYERS) -> str:
    """Return a CSV table with one row for each word, layer and version: its count and its share of the positions.

    ``said`` maps each version to the explanations of its slices.
    """
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow(["image", "layer", "word", "count", "share"])
    for name, explanations in said.items():
        for count in word_counts.frequencies(explanations, layers):
            writer.writerow([name, count.layer, count.word, count.times, f"{count.share:.6f}"])
    return text.getvalue()


def drift_warnings(reading: WordReading) -> list[str]:
    """Return one warning for each version that has flagged regions."""
    lines = []
    for name, drifted in reading.drifts.items():
        rows = [row for row in changes(reading, name) if row["flagged"]]
        if rows:
            where = "; ".join(
                f"rows {row['rows'][0]}-{row['rows'][1]}, columns {row['columns'][0]}-{row['columns'][1]}"
                + (f" ({row['before']} -> {row['after']})" if row["before"] != row["after"] else "")
                for row in rows[:3]
            )
            more = f" and {len(rows) - 3} more" if len(rows) > 3 else ""
            lines.append(
                f"{where_of(reading)}: {name} says something else than its input in {len(rows)} of "
                f"{drifted.score.size} regions: {where}{more}; look whether structure was made up or lost"
            )
    return lines


def where_of(reading: WordReading) -> str:
    """Describe a slice by its number from 1, as in 'slice 12', or else by its position, as in 'slice at 34.5 mm'."""
    if reading.index is not None:
        return f"slice {reading.index + 1}"
    return "slice" if reading.position is None else f"slice at {reading.position:.1f} mm"
