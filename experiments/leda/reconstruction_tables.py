"""Markdown tables of the figures that ``autoencoder_fidelity`` measures."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from experiments.common import markdown


def reconstruction_tables(found: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the tables of autoencoders by name: PSNR and Frechet distance, then words in use."""
    first = next(iter(found.values()))
    tiles = f"tiles of {first['tile']} pixels" if first["tile"] else "whole slices"
    return "\n".join(
        [
            f"Features: '{first['features']}', deepest map, {tiles}; not Inception, so no FID of any paper.",
            "",
            markdown.table(
                ["autoencoder", "slices", "n (patients)", "PSNR (dB)", "lowest", "Frechet distance", "tiles, channels"],
                (row for name, facts in found.items() for row in _fidelity(name, facts)),
            ),
            "",
            markdown.table(
                ["autoencoder", "over slices", "layer", "tokens in use", "whole words in use", "perplexity"],
                (row for name, facts in found.items() for row in _use(name, facts["words"])),
            ),
        ]
    )


def _fidelity(name: str, facts: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows over all slices, those held out, and those trained on."""
    for label in ("all", "held out", "trained on"):
        if label not in facts:
            continue
        psnr, frechet = facts[label]["psnr"], facts[label]["frechet"]
        rank = "" if frechet["full_rank"] else " (covariance without full rank)"
        yield (
            name,
            label,
            f"{psnr['n_slices']} ({psnr['n_patients']})",
            markdown.interval_cell(psnr["mean"], psnr["interval"]),
            f"{facts[label]['lowest_psnr']:.2f}",
            markdown.interval_cell(frechet["value"], frechet["interval"], ".3f"),
            f"{frechet['n']}, {frechet['channels']}{rank}",
        )


def _use(name: str, words: Mapping[str, Any]) -> Iterable[Sequence[str]]:
    """Yield rows of the tokens in use, layer by layer."""
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
