"""Markdown tables on the words that ``token_words`` read, judged by token_word_rule.md."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lowdose.metrics.statistics import Summary, summarise

HERE = Path(__file__).parent
REGIONS = ("chest", "abdomen")
SHUFFLED = {
    "words of the other region": "real",
    "blocks shuffled before encoding": "blocks",
    "pixels shuffled before encoding": "pixels",
}
ANATOMY = ("structure", "region", "anatomy")
UNJUDGED = ("not judged", [])
SEED = 0
Row = dict[str, Any]


class WordJudge:
    """Verdict on words by region: lexicon.json of the stricter rule for slices, then token_word_lexicon.json."""

    def __init__(self) -> None:
        own = json.loads((HERE / "token_word_lexicon.json").read_text())
        listed = json.loads((HERE.parent / "slice_words" / "lexicon.json").read_text())
        entries = {word: (entry["kind"], entry["needs"]) for word, entry in listed.items()}
        entries |= {word: (entry["category"], entry["needs"]) for word, entry in own["words"].items()}
        self.entries = {w: ("anatomy" if kind in ANATOMY else kind, needs) for w, (kind, needs) in entries.items()}
        self.regions = {region: set(names) for region, names in own["regions"].items()}

    def right(self, word: str, region: str, strict: bool = False) -> bool:
        """Return whether a word is right for a region; a word that nobody judged is wrong, and the lists say so."""
        kind, needs = self.entries.get(word, UNJUDGED)
        if kind in ("wrong", UNJUDGED[0]) or (strict and kind not in ("anatomy", "imaging")):
            return False
        return not needs or not self.regions[region].isdisjoint(needs)


class WordRows:
    """Rows of ``token_words``: the words of layers 1 and 2 of every slice."""

    def __init__(self, found: Row) -> None:
        self.tokens, self.whole, self.rows = found["tokens"], set(found["whole"]), found["rows"]

    def words(self, row: Row, layers: Sequence[int] = (1, 2)) -> list[str]:
        """Return the whole words of some layers, one for each position."""
        flat = (token for layer in layers for line in row["layers"][layer - 1] for token in line)
        return [self.tokens[token] for token in flat if token in self.whole]

    def of(self, kind: str, region: str, layers: Sequence[int] = (1, 2)) -> list[list[str]]:
        """Return the words of each slice of a kind and region."""
        return [self.words(row, layers) for row in self.rows if row["kind"] == kind and row["region"] == region]


def percent(values: Summary) -> str:
    """Return a mean with its interval, in per cent."""
    low, high = values.interval or (values.mean, values.mean)
    return f"{100 * values.mean:.1f} [{100 * low:.1f}, {100 * high:.1f}]"


def _patient(name: str) -> str:
    return name.rpartition("/")[0]


def right_table(read: WordRows, judge: WordJudge) -> list[str]:
    """Return the table of distinct words and positions, as they are and shuffled."""
    lines = ["| words | judged as | distinct | right (%) | strict (%) | of positions (%) | of a slice's words (%) |"]
    lines.append("|---" * 7 + "|")
    for title, kind in {"own": "real", **SHUFFLED}.items():
        for region in REGIONS:
            origin = region if kind != "real" or title == "own" else REGIONS[1 - REGIONS.index(region)]
            lines.append(f"| {title} | {region} | {right_row(read, judge, kind, origin, region)} |")
    return lines


def right_row(read: WordRows, judge: WordJudge, kind: str, origin: str, region: str) -> str:
    """Return cells on right words; the last two are means over slices, with the interval of ``metrics.statistics``."""
    slices = read.of(kind, origin)
    patients = [_patient(r["name"]) for r in read.rows if r["kind"] == kind and r["region"] == origin]
    distinct = set().union(*slices)
    shares = [np.mean([judge.right(w, region, strict) for w in distinct]) for strict in (False, True)]
    placed = [float(np.mean([judge.right(w, region) for w in words])) for words in slices]
    each = [float(np.mean([judge.right(w, region) for w in set(words)])) for words in slices]
    counted = " | ".join(f"{100 * share:.1f}" for share in shares)
    means = " | ".join(percent(summarise(values, patients, SEED)) for values in (placed, each))
    return f"{len(distinct)} | {counted} | {means}"


def layer_table(read: WordRows, judge: WordJudge) -> list[str]:
    """Return the table of each layer alone, with the commonest word of its positions."""
    lines = ["| slices | layer | distinct | right (%) | right, of positions (%) | commonest word (% of positions) |"]
    lines.append("|---" * 6 + "|")
    for region in REGIONS:
        for layers in ((1,), (2,), (1, 2)):
            words = [word for found in read.of("real", region, layers) for word in found]
            distinct = np.mean([judge.right(word, region) for word in set(words)])
            placed = np.mean([judge.right(word, region) for word in words])
            name = " and ".join(map(str, layers))
            cells = f"{len(set(words))} | {100 * distinct:.1f} | {100 * placed:.1f} | {commonest(words)}"
            lines.append(f"| {region} | {name} | {cells} |")
    for kind in ("real", "blocks", "pixels"):
        for layers in ((1,), (2,), (1, 2)):
            words = [word for region in REGIONS for found in read.of(kind, region, layers) for word in found]
            name = " and ".join(map(str, layers))
            lines.append(f"| all, {kind} | {name} | {len(set(words))} | – | – | {commonest(words)} |")
    return lines


def commonest(words: Iterable[str]) -> str:
    """Return the word with the most positions."""
    counter = Counter(words)
    ((word, count),) = counter.most_common(1)
    return f"{word} {100 * count / counter.total():.1f}"


def common_table(read: WordRows) -> list[str]:
    """Return the table of the words that chest and abdomen share."""
    lines = ["| words of | chest | abdomen | both | Dice (%) | of the smaller set (%) |", "|---" * 6 + "|"]
    for kind in ("real", "blocks", "pixels"):
        a, b = (set().union(*read.of(kind, region)) for region in REGIONS)
        both = len(a & b)
        shares = f"{200 * both / (len(a) + len(b)):.1f} | {100 * both / min(len(a), len(b)):.1f}"
        lines.append(f"| {kind} slices | {len(a)} | {len(b)} | {both} | {shares} |")
    return lines


def stability_table(read: WordRows) -> list[str]:
    """Return the table against full dose: positions with the same word, and Dice of the distinct words."""
    pairs: dict[str, dict[str, Row]] = {
        r["kind"]: {} for r in read.rows if r["kind"] not in ("real", "blocks", "pixels", "digital")
    }
    for row in read.rows:
        if row["kind"] in pairs:
            pairs[row["kind"]][row["name"]] = row
    full = pairs.pop("full")
    lines = ["| full dose against | series | slices | layer 1 same (%) | layer 2 same (%) | both same (%) | Dice (%) |"]
    lines.append("|---" * 7 + "|")
    for kind, rows in pairs.items():
        for series in [*dict.fromkeys(map(_patient, full)), ""]:
            names = [name for name in full if name.startswith(series)]
            lines.append(stable_row(read, kind, series, [(full[n], rows[n]) for n in names]))
    for kind, rows in pairs.items():
        others = [(full[a], rows[b]) for a in full for b in full if a != b and _patient(a) == _patient(b)]
        lines.append(stable_row(read, f"{kind}, another slice of the series", "", others))
    return lines


def stable_row(read: WordRows, title: str, series: str, pairs: Sequence[tuple[Row, Row]]) -> str:
    """Return a row; pairs of one slice of full dose are averaged first."""
    cells = []
    for layers in ((1,), (2,), (1, 2), None):
        by_slice: dict[str, list[float]] = {}
        for a, b in pairs:
            first, second = (read.words(row, layers or (1, 2)) for row in (a, b))
            dice = 2 * len(set(first) & set(second)) / (len(set(first)) + len(set(second)))
            same = float(np.mean([x == y for x, y in zip(first, second, strict=True)]))
            by_slice.setdefault(a["name"], []).append(same if layers else dice)
        values = [float(np.mean(found)) for found in by_slice.values()]
        cells.append(percent(summarise(values, list(map(_patient, by_slice)), SEED)))
    return f"| {title} | {series.rpartition('/')[2] or 'all'} | {len(by_slice)} | {' | '.join(cells)} |"


def use_table(read: WordRows) -> list[str]:
    """Return the table of words in use, layer by layer, over real slices and digital patients."""
    rows = [row for row in read.rows if row["kind"] in ("real", "digital")]
    layers = range(1, len(rows[0]["layers"]) + 1)
    lines = [f"| layer, {len(rows)} slices | positions | words in use | of whole words (%) | perplexity |"]
    lines.append("|---" * 5 + "|")
    for name, chosen in [*((str(number), (number,)) for number in layers), ("all", tuple(layers))]:
        counter = Counter(word for row in rows for word in read.words(row, chosen))
        share = np.array(list(counter.values())) / counter.total()
        perplexity = np.exp(-(share * np.log(share)).sum())
        used = f"{len(counter)} | {100 * len(counter) / len(read.whole):.2f} | {perplexity:.0f}"
        lines.append(f"| {name} | {counter.total()} | {used} |")
    return lines


def word_lists(read: WordRows, judge: WordJudge) -> list[str]:
    """Return every word with its number of positions, by verdict and category."""
    lines = []
    for region in REGIONS:
        counter = Counter(word for words in read.of("real", region) for word in words)
        groups: dict[str, list[str]] = {}
        for word, count in counter.most_common():
            verdict = "right" if judge.right(word, region) else "wrong"
            groups.setdefault(f"{verdict}, {judge.entries.get(word, UNJUDGED)[0]}", []).append(f"{word} {count}")
        listed = (f"- {region}, {name} ({len(words)}): {', '.join(words)}." for name, words in sorted(groups.items()))
        lines += [*listed, ""]
    return lines


def section(found: Row) -> str:
    """Return all tables."""
    read, judge = WordRows(found), WordJudge()
    parts = {
        "Right words": right_table(read, judge),
        "By layer": layer_table(read, judge),
        "Chest against abdomen": common_table(read),
        "Stability": stability_table(read),
        "Use of the codebook": use_table(read),
        "Every word of the real slices": word_lists(read, judge),
    }
    return "\n\n".join(f"#### {title}\n\n" + "\n".join(lines).strip() for title, lines in parts.items()) + "\n"
