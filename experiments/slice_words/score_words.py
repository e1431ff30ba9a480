"""Score tables of ten words for each real CT slice by the rule in rule.md.

    python -m experiments.slice_words.score_words WORDS.json [REVIEWED.json]

WORDS.json: table that ``produce_words`` wrote. REVIEWED.json: words read by hand after the result was seen, with
reasons; the scores are then printed with and without them.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import NamedTuple

from lowdose.errors import InvalidSetting, NothingToRead
from lowdose.image import Slice
from lowdose.io.open_series import open_source
from lowdose.organ_classes import CLASSES

HERE = Path(__file__).parent
COUNT, ENOUGH = 10, 7
"""Number of words given to a slice, and how many of them must be right."""

RIGHT, GENERAL, ABSENT, UNLISTED = "right", "general", "absent", "unlisted"
"""Verdicts: true of the slice; true of any patient; listed, but not in this slice; not in the lexicon, hence wrong."""


class Entry(NamedTuple):
    """One word of the lexicon.

    Attributes
    ----------
    kind : str
        "structure", "region", "imaging" or "general".
    needs : frozenset of str
        Structures of which any one must be visible; empty for a word that is always true.
    """

    kind: str
    needs: frozenset[str]


class Score(NamedTuple):
    """Means over slices, 0 to 1.

    Attributes
    ----------
    share : float
        Share of words that are right.
    enough : float
        Share of slices with at least 7 of 10 words right.
    telling : float
        Share of words that are right here and not right on every slice.
    share_general, enough_general : float
        ``share`` and ``enough`` with general words taken as right.
    """

    share: float
    enough: float
    telling: float
    share_general: float
    enough_general: float


Lexicon = Mapping[str, Entry]
Facts = Mapping[str, frozenset[str]]
Table = Mapping[str, Sequence[str]]


def load_lexicon(reviewed: Path | None = None) -> dict[str, Entry]:
    """Return the entry of every word.

    ``reviewed`` adds words that were read by hand after a result was seen. Raises InvalidSetting when a reviewed word
    is already listed or gives no reason.
    """
    listed = json.loads((HERE / "lexicon.json").read_text())
    for word, entry in (json.loads(reviewed.read_text()) if reviewed else {}).items():
        if word in listed or not entry.get("reason"):
            raise InvalidSetting(f"reviewed word '{word}': must be new to lexicon.json and have a reason")
        listed[word] = entry
    return {word: Entry(entry["kind"], frozenset(entry["needs"])) for word, entry in listed.items()}


def load_facts() -> dict[str, frozenset[str]]:
    """Return what is visible in each slice by its name: structures, regions and how it was acquired."""
    facts = {}
    for series, found in json.loads((HERE / "slices.json").read_text())["series"].items():
        for z in found["positions"]:
            here = (name for name, spans in found["shown"].items() if any(low <= z <= high for low, high in spans))
            facts[slice_name(series, z)] = frozenset(found["everywhere"]).union(here)
    return facts


def slice_name(series: str, position: float) -> str:
    """Return the name of a slice: its series (the set, or set and patient) and its position in mm."""
    return f"{series}/{position:.2f}"


def series_of(name: str) -> str:
    """Return the series of a slice name."""
    return name.rpartition("/")[0]


def read_slices(folder: Path) -> Iterator[tuple[str, Slice]]:
    """Yield every slice of a normal-dose folder with its name, by series and position, read one at a time.

    Raises NothingToRead when a series is missing.
    """
    for series in dict.fromkeys(map(series_of, load_facts())):
        found = []
        for path in (p for p in (folder / series).rglob("*") if p.is_file() and not p.name.endswith(".nii.gz")):
            with open_source(path) as source:
                found += [(p.position, path, i) for i, p in enumerate(source.planes) if p.position is not None]
        if not found:
            raise NothingToRead(f"{folder / series}: no slices; give the folder that holds '{series}'")
        for position, path, index in sorted(found):
            with open_source(path) as source:
                yield slice_name(series, position), source.read(index)


def verdicts(words: Iterable[str], visible: Collection[str], lexicon: Lexicon) -> list[str]:
    """Return the verdict on each word for a slice in which ``visible`` is seen."""
    return [_verdict(lexicon.get(word), visible) for word in words]


def _verdict(entry: Entry | None, visible: Collection[str]) -> str:
    if entry is None:
        return UNLISTED
    if entry.kind == "general":
        return GENERAL
    return RIGHT if not entry.needs or not entry.needs.isdisjoint(visible) else ABSENT


class Judged(NamedTuple):
    """Verdicts on all words of the lexicon.

    Attributes
    ----------
    right : dict
        Words that are right on each slice, by the name of the slice.
    general : frozenset of str
        General words.
    everywhere : frozenset of str
        Words that are right on every slice.
    """

    right: dict[str, frozenset[str]]
    general: frozenset[str]
    everywhere: frozenset[str]


def judge_all_slices(facts: Facts, lexicon: Lexicon) -> Judged:
    """Judge every word of the lexicon on every slice."""
    right = {n: frozenset(w for w, e in lexicon.items() if _verdict(e, seen) == RIGHT) for n, seen in facts.items()}
    general = frozenset(word for word, entry in lexicon.items() if entry.kind == "general")
    return Judged(right, general, frozenset.intersection(*right.values()))


def score(pairs: Iterable[tuple[Sequence[str], str]], judged: Judged) -> Score | None:
    """Score pairs of ten words and the name of the slice that they are judged on; None where there are none."""
    rows = []
    for words, name in pairs:
        right = judged.right[name].intersection(words)
        both, telling = len(right) + len(judged.general.intersection(words)), len(right - judged.everywhere)
        rows.append((len(right) / COUNT, len(right) >= ENOUGH, telling / COUNT, both / COUNT, both >= ENOUGH))
    return mean_score(rows)


def mean_score(rows: Iterable[Iterable[float] | None]) -> Score | None:
    """Return the mean of the scores that are not None."""
    known = [row for row in rows if row is not None]
    return Score(*map(fmean, zip(*known, strict=True))) if known else None


def shuffled_score(table: Table, judged: Judged, partners: str) -> Score | None:
    """Score each slice with the words of every other slice in turn: the exact mean over all exchanges.

    ``partners``: "all" others, those "within" the same series, or those of other series ("between"). A slice without
    partners is left out; None when no slice has any.
    """
    means = []
    for name in table:
        others = [other for other in table if other != name]
        if partners != "all":
            others = [n for n in others if (series_of(n) == series_of(name)) == (partners == "within")]
        means.append(score([(table[other], name) for other in others], judged))
    return mean_score(means)


def best_constant(judged: Judged, skip: Collection[str] = ()) -> list[str]:
    """Return the ten words, none of ``skip``, that are right on most slices when all slices get the same ten."""
    often = Counter(word for right in judged.right.values() for word in right if word not in skip)
    return sorted(often, key=lambda word: (-often[word], word))[:COUNT]


def in_class_list(word: str) -> bool:
    """Return whether a word, in the singular or plural, is part of a class name of the segmentation."""
    parts = {part for name in CLASSES for part in name.split("_")}
    forms = (word, f"{word}s", f"{word}e", word.removesuffix("s"), word.removesuffix("es"))
    return not parts.isdisjoint((*forms, word.removesuffix("ies") + "y"))


def outside_class_list(table: Table, judged: Judged) -> tuple[float, float]:
    """Return the share right of the words outside the class list, and the share outside it of the right words."""
    every = [(word, word in judged.right[name]) for name, words in table.items() for word in words]
    new = [right for word, right in every if not in_class_list(word)]
    return sum(new) / max(1, len(new)), sum(new) / max(1, sum(right for _, right in every))


def unlisted_words(table: Table, lexicon: Lexicon) -> list[tuple[str, int]]:
    """Return words that are wrong only because the lexicon lacks them, most frequent first, for reading by the rule."""
    return Counter(word for words in table.values() for word in words if word not in lexicon).most_common()


def check_table(table: Table, facts: Facts) -> None:
    """Raise InvalidSetting for a slice that is not judged, or words that are not ten different lower-case ones."""
    for name, words in table.items():
        if name not in facts:
            raise InvalidSetting(f"slice '{name}': not in slices.json; take the names from score_words.read_slices")
        if len(set(words)) != COUNT or len(words) != COUNT or any(w != w.lower().strip() for w in words):
            raise InvalidSetting(f"slice '{name}': give {COUNT} different words in lower case, not {list(words)}")


def report(table: Table, facts: Facts, lexicon: Lexicon) -> str:
    """Return the scores as Markdown, in per cent."""
    judged = judge_all_slices(facts, lexicon)
    sets = dict.fromkeys(name.partition("/")[0] for name in table)
    rows = {"own words": score([(words, name) for name, words in table.items()], judged)}
    rows |= {s: score([(w, n) for n, w in table.items() if n.startswith(f"{s}/")], judged) for s in sets}
    rows["mean of sets"] = mean_score(rows[s] for s in sets)
    rows |= {f"shuffled, {how}": shuffled_score(table, judged, how) for how in ("all", "between", "within")}
    for title, skip in (("best ten for all", ()), ("best ten for all, telling", judged.everywhere)):
        rows[title] = score([(best_constant(judged, skip), name) for name in table], judged)
    lines = [f"{len(table)} of {len(facts)} slices", "", "| words | right | 7 of 10 | telling | right* | 7 of 10* |"]
    lines.append("|---" * 6 + "|")
    lines += [
        f"| {title} | {' | '.join(f'{100 * cell:.1f}' for cell in found or ())} |" for title, found in rows.items()
    ]
    hit, share = outside_class_list(table, judged)
    lines += ["", "\\* general words counted as right.", ""]
    lines.append(f"Outside the class list: {100 * hit:.1f} % right; {100 * share:.1f} % of the right words lie there.")
    return "\n".join([*lines, "Not listed: " + ", ".join(f"{word} {n}" for word, n in unlisted_words(table, lexicon))])


def main(words: str, *reviewed: str) -> None:
    """Print the report of a table, and once more with each file of reviewed words."""
    table, facts = json.loads(Path(words).read_text()), load_facts()
    check_table(table, facts)
    for path in (None, *map(Path, reviewed)):
        print(f"\n### {path.name if path else 'lexicon.json'}\n\n" + report(table, facts, load_lexicon(path)))


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", help="table of words, JSON")
    parser.add_argument("reviewed", nargs="*", help="reviewed words, JSON")
    arguments = parser.parse_args()
    main(arguments.words, *arguments.reviewed)
