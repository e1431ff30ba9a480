"""LEDA's Tables 1 to 4, from the rows of the leaderboard, beside the figures of the paper (Chen et al. 2024)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from experiments.common.markdown import summary_cell, table
from experiments.leaderboard.compare import Row, difference
from experiments.leaderboard.published_results import AUTOENCODERS, MAYO_2016, MAYO_2020
from lowdose.metrics.statistics import summarise

METRICS = {"psnr": 2, "ssim": 4, "fsim": 4}
"""Metrics of the paper and their digits."""
OBJECTIVES = {"mse": "MSE", "perceptual": "MSE + perceptual", "leda_c": "MSE + LEDA-C", "leda_d": "MSE + LEDA-D",
              "leda": "MSE + LEDA"}  # fmt: skip


def objective(row: Row) -> tuple[str, str] | None:
    """Return network and objective of a row, as keys of the published results; None for other methods."""
    network = str(row.get("network", "")).partition(":")[0]
    found = "mse" if row["method"].startswith("mse_") else str(row["method"]).removesuffix(f"_{network}")
    return (network, found) if (network, found) in MAYO_2016 else None


def sections(rows: Sequence[Row]) -> Iterator[str]:
    """Yield a table for each network: every objective minus MSE, on the real pairs, beside the paper's differences."""
    by_key = {key: row for row in rows if row["budget"] == "cpu" and (key := objective(row))}
    lines = []
    for (network, name), row in by_key.items():
        twin = by_key.get((network, "mse"))
        if name == "mse" or twin is None:
            continue
        of_paper = [_published(source, network, name) for source in (MAYO_2016, MAYO_2020)]
        for title, base in ((f"`{twin['method']}`", twin["slices"]), *_blended(row)):
            own = [
                summary_cell(difference(row["slices"], base, partial(_of_real_pair, key=key)), digits, "+")
                for key, digits in METRICS.items()
            ]
            lines.append([f"`{row['method']}` - {title}", *own, *(of_paper if base is twin["slices"] else ["–"] * 2)])
    if lines:
        yield "## LEDA's Tables 1 to 3"
        yield (
            "Real pairs alone, differences slice by slice, beside those of the paper (PSNR / SSIM / FSIM), which had "
            "other data, full slices, another vocabulary and trainings of days: signs and sizes can be compared, "
            "levels cannot. The paper has no row of MSE mixed with its input to as much noise, which is the control."
        )
        yield table(["difference", "PSNR (dB)", "SSIM", "FSIM", "paper, Mayo-2016", "paper, Mayo-2020"], lines)

    yield from _autoencoders(rows)


def _autoencoders(rows: Sequence[Row]) -> Iterator[str]:
    """Yield Table 4: denoisers by the autoencoders of ``experiments/leda/train_autoencoders.sh``."""
    lines = []
    for kind, (fid, psnr, ssim) in AUTOENCODERS.items():
        for row in rows:
            if row["method"] == f"leda_{kind}":
                real = [one for one in row["slices"] if one["real"]]
                patients = [one["patient"] for one in real]
                own = [
                    summary_cell(summarise([one[key] for one in real], patients, seed=0), METRICS[key])
                    for key in ("psnr", "ssim")
                ]
                lines.append([f"`{row['method']}`", *own, f"{fid:.2f} → {psnr:.2f} / {ssim:.4f}"])
    if lines:
        yield "## LEDA's Table 4"
        yield table(["autoencoder", "PSNR (dB)", "SSIM", "paper: FID of it → PSNR / SSIM"], lines)


def _blended(row: Row) -> Iterator[tuple[str, Sequence[Row]]]:
    if control := row.get("control"):
        yield f"{control['strength']:.2f} of it", control["slices"]


def _of_real_pair(one: Row, key: str) -> float | None:
    return one[key] if one["real"] else None


def _published(source: Mapping[tuple[str, str], Sequence[float]], network: str, name: str) -> str:
    own, base = source.get((network, name)), source.get((network, "mse"))
    pairs = zip(own, base, METRICS.values(), strict=True) if own and base else []
    return " / ".join(f"{a - b:+.{digits}f}" for a, b, digits in pairs) or "–"
