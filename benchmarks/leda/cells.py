"""Figures as Markdown: of autoencoders, and single cells."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lowdose.metrics.statistics import Summary


def cell(value: float, interval: Sequence[float] | None, digits: int = 2, sign: str = "") -> str:
    """'1.23 (1.10–1.36)'."""
    span = f" ({interval[0]:{sign}.{digits}f}–{interval[1]:{sign}.{digits}f})" if interval else ""
    return f"{value:{sign}.{digits}f}{span}"


def of_summary(found: Summary | None, digits: int, sign: str = "") -> str:
    return "–" if found is None else cell(found.mean, found.interval, digits, sign)


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in (heads, ["---"] * len(heads), *rows))


def reconstructions(found: Mapping[str, Mapping[str, Any]]) -> str:
    """PSNR, Frechet distance and words in use of autoencoders by name, as ``fid.py`` measures them."""
    first = next(iter(found.values()))
    tiles = f"tiles of {first['tile']} pixels" if first["tile"] else "whole slices"
    return "\n".join(
        [
            f"Features: '{first['features']}', deepest map, {tiles}; not Inception, so no FID of any paper.",
            "",
            table(
                ["autoencoder", "slices", "n (patients)", "PSNR (dB)", "lowest", "Frechet distance", "tiles, channels"],
                (row for name, facts in found.items() for row in _fidelity(name, facts)),
            ),
            "",
            table(
                ["autoencoder", "over slices", "layer", "tokens in use", "whole words in use", "perplexity"],
                (row for name, facts in found.items() for row in _use(name, facts["words"])),
            ),
        ]
    )


def _fidelity(name: str, facts: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    for label in ("all", "held out", "trained on"):
        if label not in facts:
            continue
        psnr, frechet = facts[label]["psnr"], facts[label]["frechet"]
        rank = "" if frechet["full_rank"] else " (covariance without full rank)"
        yield (
            name,
            label,
            f"{psnr['n_slices']} ({psnr['n_patients']})",
            cell(psnr["mean"], psnr["interval"]),
            f"{facts[label]['lowest_psnr']:.2f}",
            cell(frechet["value"], frechet["interval"], 3),
            f"{frechet['n']}, {frechet['channels']}{rank}",
        )


def _use(name: str, words: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    for layer, use in words.items():
        if not isinstance(use, Mapping):
            continue
        whole = "–"
        if "whole_words" in words:
            share = 100 * use["whole_words_in_use"] / words["whole_words"]
            whole = f"{use['whole_words_in_use']} ({share:.1f} %)"
        yield (
            name,
            str(words["slices"]),
            layer,
            f"{use['in_use']} of {words['tokens']}",
            whole,
            f"{use['perplexity']:.1f}",
        )
