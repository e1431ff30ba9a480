"""Rule on WordNet 3.0 on whether a word is anatomical or clinical; it was fixed before anything was measured.

A word is *related* when, as it stands or in its base form (plurals),

1. one of its first three noun senses lies under body part, body substance, pathological state, symptom, medical
   procedure, medical science or imaging (the technique); or
2. one of its first three adjective senses pertains to, or is derived from, a noun sense of (1), or is filed under
   medicine or anatomy by topic.

WordNet's files are in Debian's package wordnet-base (folder usr/share/wordnet). They serve for this judgement alone:
nothing of them goes into the shipped table.
"""

from __future__ import annotations

from functools import cached_property
from pathlib import Path

SENSES = 3
ROOTS = (
    ("body_part", 1), ("body_substance", 1), ("pathological_state", 1), ("symptom", 1), ("medical_procedure", 1),
    ("medical_science", 1), ("imaging", 2),
)  # fmt: skip
TOPICS = (("medicine", 1), ("anatomy", 1))

QUERIES = (
    "liver", "kidney", "spleen", "pancreas", "stomach", "gallbladder", "colon", "bowel", "duodenum", "esophagus",
    "bladder", "prostate", "adrenal", "aorta", "vein", "artery", "heart", "lung", "trachea", "thyroid", "rib",
    "sternum", "spine", "vertebra", "pelvis", "hip", "femur", "shoulder", "clavicle", "scapula", "muscle", "abdomen",
    "thorax", "neck", "ct", "tomography", "lesion", "cyst", "tumor", "hepatic", "renal", "cardiac",
)  # fmt: skip
"""Words whose nearest neighbours are judged."""


class WordNet:
    """Noun and adjective parts of WordNet's database in ``folder``."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.nouns, self.adjectives = self._index("noun"), self._index("adj")
        self.noun_links, self.adjective_links = self._links("noun"), self._links("adj")
        self.plurals = dict(line.split()[:2] for line in (folder / "noun.exc").read_text().splitlines())

    def related(self, word: str) -> bool:
        """Return whether a word is anatomical or clinical."""
        return any(self._noun(form) or self._adjective(form) for form in self._forms(word.lower()))

    def known(self, word: str) -> bool:
        """Return whether WordNet has the word as a noun or adjective."""
        return any(form in self.nouns or form in self.adjectives for form in self._forms(word.lower()))

    def _forms(self, word: str) -> set[str]:
        forms = {word, self.plurals.get(word, word)}
        for ending, base in (("ies", "y"), ("ses", "s"), ("xes", "x"), ("ches", "ch"), ("s", "")):
            if word.endswith(ending) and not word.endswith("ss"):
                forms.add(word.removesuffix(ending) + base)
        return forms

    def _noun(self, word: str) -> bool:
        return any(sense in self.body for sense in self.nouns.get(word, [])[:SENSES])

    def _adjective(self, word: str) -> bool:
        topics = {self.nouns[lemma][sense - 1] for lemma, sense in TOPICS}
        for sense in self.adjectives.get(word, [])[:SENSES]:
            for kind, target, part in self.adjective_links[sense]:
                if part == "n" and (
                    (kind in ("\\", "+") and target in self.body) or (kind == ";c" and target in topics)
                ):
                    return True
        return False

    @cached_property
    def body(self) -> set[str]:
        """All noun senses below the roots."""
        below: dict[str, list[str]] = {}
        for sense, links in self.noun_links.items():
            for kind, target, _ in links:
                if kind in ("@", "@i"):
                    below.setdefault(target, []).append(sense)
        found: set[str] = set()
        waiting = [self.nouns[lemma][sense - 1] for lemma, sense in ROOTS]
        while waiting:
            sense = waiting.pop()
            if sense not in found:
                found.add(sense)
                waiting += below.get(sense, [])
        return found

    def _index(self, part: str) -> dict[str, list[str]]:
        senses = {}
        for line in (self.folder / f"index.{part}").read_text().splitlines():
            if not line.startswith(" "):
                fields = line.split()
                senses[fields[0]] = fields[-int(fields[2]) :]
        return senses

    def _links(self, part: str) -> dict[str, list[tuple[str, str, str]]]:
        """Return for each sense its pointers: (kind, target sense, part of speech of the target)."""
        links = {}
        for line in (self.folder / f"data.{part}").read_text().splitlines():
            if line.startswith(" "):
                continue
            fields = line.split(" | ")[0].split()
            start = 4 + 2 * int(fields[3], 16)
            pointers = fields[start + 1 : start + 1 + 4 * int(fields[start])]
            links[fields[0]] = list(zip(pointers[0::4], pointers[1::4], pointers[2::4], strict=True))
        return links
