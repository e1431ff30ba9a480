"""Which of the ten words given to a real CT slice are right by rule.md, and what a table of them scores.

python benchmarks/words/judge.py WORDS.json [REVIEWED.json]
"""

from __future__ import annotations

import json
import sys
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
"""Words given to a slice, and how many of them must be right."""

RIGHT, GENERAL, ABSENT, UNLISTED = "right", "general", "absent", "unlisted"
"""Verdicts: true of the slice; true of any patient; listed but not in this slice; not in the lexicon, hence wrong."""


class Entry(NamedTuple):
    """kind: structure, region, imaging or general. needs: any one of these must be visible; none = always true."""

    kind: str
    needs: frozenset[str]


class Score(NamedTuple):
    """Means over slices, 0 to 1.

    share: words right; enough: slices with 7 of 10 right. Both once more with general words taken as right.
    telling: words right here that are not right on every slice.
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
    """Word -> entry. ``reviewed`` adds words read by hand after a result was seen, each with a reason.

    Raises InvalidSetting when a reviewed word is already listed or gives no reason.
    """
    listed = json.loads((HERE / "lexicon.json").read_text())
    for word, entry in (json.loads(reviewed.read_text()) if reviewed else {}).items():
        if word in listed or not entry.get("reason"):
            raise InvalidSetting(f"reviewed word '{word}': must be new to lexicon.json and have a reason")
        listed[word] = entry
    return {word: Entry(entry["kind"], frozenset(entry["needs"])) for word, entry in listed.items()}


def load_facts() -> dict[str, frozenset[str]]:
    """Key of every slice -> what is visible in it: structures, regions and how it was acquired."""
    facts = {}
    for series, found in json.loads((HERE / "slices.json").read_text())["series"].items():
        for z in found["positions"]:
            here = (name for name, spans in found["shown"].items() if any(low <= z <= high for low, high in spans))
            facts[key(series, z)] = frozenset(found["everywhere"]).union(here)
    return facts


def key(series: str, position: float) -> str:
    """``series``: the set, or the set and the patient. ``position``: mm, as ``Slice.position``."""
    return f"{series}/{position:.2f}"


def series_of(name: str) -> str:
    """The series of a key."""
    return name.rpartition("/")[0]


def slices(folder: Path) -> Iterator[tuple[str, Slice]]:
    """Every slice of a normal-dose folder with its key, by series and position, decoded one at a time.

    Raises NothingToRead when a series is not there.
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
                yield key(series, position), source.read(index)


def judge(words: Iterable[str], visible: Collection[str], lexicon: Lexicon) -> list[str]:
    """The verdict on each word for a slice in which ``visible`` is seen."""
    return [_verdict(lexicon.get(word), visible) for word in words]


def _verdict(entry: Entry | None, visible: Collection[str]) -> str:
    if entry is None:
        return UNLISTED
    if entry.kind == "general":
        return GENERAL
    return RIGHT if not entry.needs or not entry.needs.isdisjoint(visible) else ABSENT


class Judged(NamedTuple):
    """All words on all slices. right: key -> words right there. everywhere: those right on every slice."""

    right: dict[str, frozenset[str]]
    general: frozenset[str]
    everywhere: frozenset[str]


def judge_all(facts: Facts, lexicon: Lexicon) -> Judged:
    """Every word of the lexicon on every slice."""
    right = {n: frozenset(w for w, e in lexicon.items() if _verdict(e, seen) == RIGHT) for n, seen in facts.items()}
    general = frozenset(word for word, entry in lexicon.items() if entry.kind == "general")
    return Judged(right, general, frozenset.intersection(*right.values()))


def score(pairs: Iterable[tuple[Sequence[str], str]], judged: Judged) -> Score | None:
    """``pairs``: ten words, and the key of the slice they are held against. None where there are none."""
    rows = []
    for words, name in pairs:
        right = judged.right[name].intersection(words)
        both, telling = len(right) + len(judged.general.intersection(words)), len(right - judged.everywhere)
        rows.append((len(right) / COUNT, len(right) >= ENOUGH, telling / COUNT, both / COUNT, both >= ENOUGH))
    return mean(rows)


def mean(rows: Iterable[Iterable[float] | None]) -> Score | None:
    """Of the scores there are."""
    known = [row for row in rows if row is not None]
    return Score(*map(fmean, zip(*known, strict=True))) if known else None


def shuffled(table: Table, judged: Judged, partners: str) -> Score | None:
    """Each slice with the words of every other slice in turn: the exact mean over all ways to exchange them.

    ``partners``: 'all' others, those 'within' the same series, or those of other series ('between'). A slice without
    partners is left out; None when no slice has any.
    """
    means = []
    for name in table:
        others = [other for other in table if other != name]
        if partners != "all":
            others = [n for n in others if (series_of(n) == series_of(name)) == (partners == "within")]
        means.append(score([(table[other], name) for other in others], judged))
    return mean(means)


def best_constant(judged: Judged, skip: Collection[str] = ()) -> list[str]:
    """The ten words, none of ``skip``, that are right on most slices when every slice is given the same ten."""
    often = Counter(word for right in judged.right.values() for word in right if word not in skip)
    return sorted(often, key=lambda word: (-often[word], word))[:COUNT]


def in_class_list(word: str) -> bool:
    """Whether a word, in the singular or plural, is part of a class name of the segmentation."""
    parts = {part for name in CLASSES for part in name.split("_")}
    forms = (word, f"{word}s", f"{word}e", word.removesuffix("s"), word.removesuffix("es"))
    return not parts.isdisjoint((*forms, word.removesuffix("ies") + "y"))


def outside(table: Table, judged: Judged) -> tuple[float, float]:
    """Of the words outside the class list, the share that is right; of the right words, the share outside it."""
    every = [(word, word in judged.right[name]) for name, words in table.items() for word in words]
    new = [right for word, right in every if not in_class_list(word)]
    return sum(new) / max(1, len(new)), sum(new) / max(1, sum(right for _, right in every))


def unjudged(table: Table, lexicon: Lexicon) -> list[tuple[str, int]]:
    """Words that are wrong only because nobody listed them, most frequent first, for reading by the rule."""
    return Counter(word for words in table.values() for word in words if word not in lexicon).most_common()


def check(table: Table, facts: Facts) -> None:
    """Raises InvalidSetting for a slice that is not judged, or words that are not ten different lower-case ones."""
    for name, words in table.items():
        if name not in facts:
            raise InvalidSetting(f"slice '{name}': not in slices.json; take the keys from judge.slices")
        if len(set(words)) != COUNT or len(words) != COUNT or any(w != w.lower().strip() for w in words):
            raise InvalidSetting(f"slice '{name}': give {COUNT} different words in lower case, not {list(words)}")


def report(table: Table, facts: Facts, lexicon: Lexicon) -> str:
    """The scores as Markdown, in per cent."""
    judged = judge_all(facts, lexicon)
    sets = dict.fromkeys(name.partition("/")[0] for name in table)
    rows = {"own words": score([(words, name) for name, words in table.items()], judged)}
    rows |= {s: score([(w, n) for n, w in table.items() if n.startswith(f"{s}/")], judged) for s in sets}
    rows["mean of sets"] = mean(rows[s] for s in sets)
    rows |= {f"shuffled, {how}": shuffled(table, judged, how) for how in ("all", "between", "within")}
    for title, skip in (("best ten for all", ()), ("best ten for all, telling", judged.everywhere)):
        rows[title] = score([(best_constant(judged, skip), name) for name in table], judged)
    lines = [f"{len(table)} of {len(facts)} slices", "", "| words | right | 7 of 10 | telling | right* | 7 of 10* |"]
    lines.append("|---" * 6 + "|")
    lines += [
        f"| {title} | {' | '.join(f'{100 * cell:.1f}' for cell in found or ())} |" for title, found in rows.items()
    ]
    hit, share = outside(table, judged)
    lines += ["", "\\* general words counted as right.", ""]
    lines.append(f"Outside the class list: {100 * hit:.1f} % right; {100 * share:.1f} % of the right words lie there.")
    return "\n".join([*lines, "Not listed: " + ", ".join(f"{word} {n}" for word, n in unjudged(table, lexicon))])


def main(words: str, *reviewed: str) -> None:
    """Prints the report of a file of words, and again with words reviewed after the fact."""
    table, facts = json.loads(Path(words).read_text()), load_facts()
    check(table, facts)
    for path in (None, *map(Path, reviewed)):
        print(f"\n### {path.name if path else 'lexicon.json'}\n\n" + report(table, facts, load_lexicon(path)))


if __name__ == "__main__":
    main(*sys.argv[1:])
