"""Compare word tables by the neighbours of anatomical words and by the words they give to slices; write results.md.

    python -m experiments.word_table.compare_word_tables WORDNET [SERIES]

WORDNET: folder of WordNet 3.0's database (Debian: wordnet-base, usr/share/wordnet). SERIES: a real series with labels
(``labelled_slices.real``). ``sentence_encoder`` says what else must be installed. The rules are those of ``wordnet``
and ``fitting_words``.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from experiments.word_table import fitting_words
from experiments.word_table.labelled_slices import Slice, phantoms, real
from experiments.word_table.sentence_encoder import (
    GENERAL,
    Array,
    Encoder,
    centred,
    clip_words,
    terms,
    unit,
    word_pieces,
    words,
)
from experiments.word_table.term_phrases import PHRASES
from experiments.word_table.wordnet import QUERIES, WordNet
from lowdose.language import relevance, slice_terms, spelling, vocabulary, word_table


class Table(NamedTuple):
    """Words, their unit embeddings, and unit embeddings of the terms of ``PHRASES``."""

    words: list[str]
    rows: Array
    terms: Array


def tables() -> dict[str, Table]:
    """Return all tables by name; the last one is the shipped choice."""
    encoder = Encoder()
    found: dict[str, Table] = {"word pieces' own table": _pieces(encoder), "whole pieces of it": _pieces(encoder, True)}
    for size in (None, GENERAL):
        chosen, general = words(size)
        for form, named in (("{}", "word"), ("A CT of {}", "'A CT of' word")):
            rows = encoder(chosen, form)
            table, mean = centred(rows, general)
            label = f"sentence of {named}, {len(chosen):,} words"
            found[label] = Table(chosen, rows, terms(encoder, PHRASES, np.zeros_like(mean), form))
            found[f"{label}, less the mean"] = Table(chosen, table, terms(encoder, PHRASES, mean, form))
    return found


def _pieces(encoder: Encoder, whole: bool = False) -> Table:
    """Return the raw table of word pieces; a term is the mean of the pieces of its phrases."""
    tokens, raw = word_pieces(), encoder.pieces()
    rows, _ = centred(raw, len(raw))
    split = encoder.model.tokenizer.tokenize
    index = {token: row for row, token in enumerate(tokens)}
    named = [[index[piece] for phrase in PHRASES[term] for piece in split(phrase)] for term in PHRASES]
    found = unit(np.stack([rows[pieces].mean(0) for pieces in named]))
    keep = [row for row, word in enumerate(spelling.whole_words(tokens)) if spelling.readable(word) or not whole]
    return Table([tokens[row] for row in keep], rows[keep], found)


def neighbours(table: Table, judged: Callable[[str], bool]) -> tuple[int, float, float]:
    """Return the queries in the table, the related share of their ten nearest words, and that over all queries."""
    index = {word: row for row, word in enumerate(table.words)}
    shares = []
    for query in (query for query in QUERIES if query in index):
        order = np.argsort(-(table.rows @ table.rows[index[query]]), kind="stable")
        near = [table.words[row] for row in order if row != index[query]][:10]
        shares.append(np.mean([spelling.bare(word) == word and judged(word) for word in near]))
    return len(shares), float(np.mean(shares)), float(np.sum(shares) / len(QUERIES))


class SliceWords(NamedTuple):
    """Words that a table gives to slices.

    Attributes
    ----------
    ten, thirty : float
        Mean share of fitting words among the best 10 and 30.
    overlap : float
        Mean overlap (Jaccard) of the best ten words of slices of different regions.
    pools : array
        Median sizes of the three pools of candidates.
    """

    ten: float
    thirty: float
    overlap: float
    pools: NDArray[np.float64]


def words_for_slices(
    tokens: list[str], scored: Callable[[Slice], NDArray[np.float32]], slices: list[Slice]
) -> SliceWords:
    """Score the words of all slices."""
    best, shares, sizes = [], [], []
    for one in slices:
        scores, allowed = scored(one), fitting_words.stems(one.areas())
        order = np.argsort(-scores, kind="stable")[:30]
        shares.append([fitting_words.fits(tokens[row], allowed) for row in order])
        best.append((one.region, set(order[:10].tolist())))
        sizes.append([len(pool) for pool in relevance.candidate_pools(scores)])
    overlaps = [len(a & b) / len(a | b) for i, (r, a) in enumerate(best) for s, b in best[:i] if r != s]
    ten, thirty = np.mean([share[:10] for share in shares]), np.mean(shares)
    return SliceWords(float(ten), float(thirty), float(np.mean(overlaps)), np.median(sizes, axis=0))


def relevance_scorer(
    table: Table, contrast: float = 0.0, sharpness: float = relevance.SHARPNESS
) -> Callable[[Slice], NDArray[np.float32]]:
    """Return the formula of ``AnatomyRelevance`` for any table.

    ``contrast`` is the share of the mean over all terms that is subtracted.
    """
    order = [list(PHRASES).index(term) for term in slice_terms.TERMS]
    cosines = (table.rows @ table.terms[order].T) * np.float32(sharpness / relevance.SHARPNESS)

    def scored(one: Slice) -> NDArray[np.float32]:
        raw = relevance.soft_maximum(cosines, slice_terms.term_weights(one.classes, one.pixel_mm))
        return relevance.min_max(raw - contrast * cosines.mean(1))

    return scored


def neighbour_section(found: dict[str, Table], judged: Callable[[str], bool]) -> list[str]:
    """Return the table of neighbours."""
    lines = ["| table | rows | queries in it | related, of those in it | related, of all |", "|---|---|---|---|---|"]
    for name, table in found.items():
        count, of_found, of_all = neighbours(table, judged)
        lines.append(f"| {name} | {len(table.words):,} | {count}/{len(QUERIES)} | {of_found:.3f} | {of_all:.3f} |")
    return lines


def relevance_section(found: dict[str, Table], slices: list[Slice]) -> list[str]:
    """Return the table of words for slices."""
    lines = ["| table | fitting of 10 | of 30 | overlap | pools |", "|---|---|---|---|---|"]
    chosen = list(found)[-1]
    settings: list[tuple[str, Table, dict[str, float]]] = [(name, table, {}) for name, table in found.items()]
    settings += [(f"the chosen one, contrast {c}", found[chosen], {"contrast": c}) for c in (0.3, 0.6, 1.0)]
    settings += [(f"the chosen one, sharpness {k:g}", found[chosen], {"sharpness": k}) for k in (10.0, 40.0)]
    for name, table, changed in settings:
        lines.append(_row(name, words_for_slices(table.words, relevance_scorer(table, **changed), slices)))
    return lines


def _row(name: str, got: SliceWords) -> str:
    sizes = " / ".join(f"{size:g}" for size in got.pools)
    return f"| {name} | {got.ten:.3f} | {got.thirty:.3f} | {got.overlap:.3f} | {sizes} |"


def shipped_section(slices: list[Slice]) -> list[str]:
    """Return the table of the shipped file and two other vocabularies."""
    others = {
        "shipped": vocabulary.load_vocabulary().tokens,
        "MiniLM's 30,522 word pieces": tuple(word_pieces()),
        "CLIP's whole words": tuple(f"{word}</w>" for word in clip_words()),
    }
    known = {word: row for row, word in enumerate(word_table.shipped_word_table().tokens)}
    lines = ["| vocabulary | known tokens | fitting of 10 | of 30 | overlap | pools |", "|---|---|---|---|---|---|"]
    for name, tokens in others.items():
        rows = np.array([known.get(word, -1) if word else -1 for word in spelling.whole_words(tokens)])

        def scored(one: Slice, rows: NDArray[np.int64] = rows) -> NDArray[np.float32]:
            weights = slice_terms.term_weights(one.classes, one.pixel_mm)
            raw = relevance.soft_maximum(word_table.shipped_word_table().cosines, weights)
            return relevance.min_max(np.where(rows >= 0, raw[rows], raw.min()))

        row = _row(name, words_for_slices([spelling.bare(token) for token in tokens], scored, slices))
        lines.append(row.replace(f"| {name} |", f"| {name} | {int((rows >= 0).sum()):,} |", 1))
    return lines


def examples(slices: list[Slice]) -> list[str]:
    """Return the best words of some slices."""
    tokens = vocabulary.load_vocabulary().tokens
    lines = ["| slice | best words, those that do not fit in brackets |", "|---|---|"]
    for one in slices:
        raw = relevance.soft_maximum(
            word_table.shipped_word_table().cosines, slice_terms.term_weights(one.classes, one.pixel_mm)
        )
        allowed = fitting_words.stems(one.areas())
        best = [tokens[row] for row in np.argsort(-raw, kind="stable")[:12]]
        shown = " ".join(word if fitting_words.fits(word, allowed) else f"({word})" for word in best)
        lines.append(f"| {one.name} | {shown} |")
    return lines


def geometry() -> str:
    """Describe the distances within the shipped table."""
    rows = vocabulary.load_vocabulary().embeddings.numpy()
    distances = [2 - 2 * (rows[k : k + 1000] @ rows.T) for k in range(0, len(rows), 1000)]
    nearest = np.quantile(np.concatenate([np.sort(part, axis=1)[:, 1] for part in distances]), (0.05, 0.5, 0.95))
    flat = np.median(np.concatenate([np.exp(-part).sum(1) for part in distances]))
    low, middle, high = nearest
    average = np.mean([part.mean() for part in distances])
    return (
        f"Rows have length 1. Squared distance to the nearest other word: {middle:.2f} (5 to 95 %: {low:.2f} to "
        f"{high:.2f});\nto any other, on average, {average:.2f}. A latent on a word gets 1 / {flat:,.0f} for it "
        "(median) from the\nsoftmax over -|z - e|^2."
    )


def main() -> None:
    """Fill the template and write results.md."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("wordnet", type=Path, help="folder of WordNet 3.0's database")
    parser.add_argument("series", type=Path, nargs="?", help="a real series with labels")
    arguments = parser.parse_args()
    wordnet = WordNet(arguments.wordnet)
    drawn = phantoms()
    slices = drawn + (real(arguments.series) if arguments.series else [])
    found = tables()
    text = Path(__file__).with_name("results.template.md").read_text(encoding="utf-8").split("@@")
    sections = [
        neighbour_section(found, wordnet.related), relevance_section(found, slices), shipped_section(slices),
        examples(drawn[1::3] + slices[len(drawn) :: 8]), [geometry()],
    ]  # fmt: skip
    filled = "".join(part + "\n".join(section) for part, section in zip(text, sections, strict=False)) + text[-1]
    Path(__file__).with_name("results.md").write_text(filled, encoding="utf-8")


if __name__ == "__main__":
    main()
