"""Figures of the performance benchmarks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("agg")
import matplotlib.pyplot as plt


def plot_engines(rows: Sequence[Mapping[str, Any]], peaks: Mapping[str, float], path: Path) -> None:
    """Draw a panel for each network: GFLOP/s of direct convolution, with the peak of matrix products as lines."""
    names = list(dict.fromkeys(row["network"] for row in rows))
    figure, axes = plt.subplots(1, len(names), figsize=(5 * len(names), 4.2), squeeze=False, layout="constrained")
    for axis, name in zip(axes[0], names, strict=True):
        own = [row for row in rows if row["network"] == name][::-1]
        colours = ["tab:blue" if row["passes"] else "lightgrey" for row in own]
        bars = axis.barh([row["engine"] for row in own], [row["gflops"] for row in own], color=colours)
        axis.bar_label(bars, [f"{row['ratio']:.1f}x" for row in own], padding=3, fontsize=8)
        for label, style in (("float32", "-"), ("bf16", ":")):
            axis.axvline(peaks[f"{label} GFLOP/s"], color="k", linestyle=style, linewidth=1, label=f"{label} product")
        axis.set(title=name, xlabel="GFLOP/s of the direct form", xlim=(0, None))
        axis.margins(x=0.15)
    axes[0][0].legend(fontsize=8, loc="lower right")
    figure.suptitle("Speed of every engine (times eager PyTorch); grey: does not pass the HU gate")
    figure.savefig(path, dpi=110)
    plt.close(figure)


def plot_series(rows: Sequence[Mapping[str, Any]], path: Path) -> None:
    """Draw seconds and peak memory of the whole command over the number of slices."""
    counts = [row["slices"] for row in rows]
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    per_slice, start = np.polyfit(counts, [row["seconds"] for row in rows], 1)
    left.plot(counts, [row["seconds"] for row in rows], "o")
    left.plot(
        [0, max(counts)],
        [start, start + per_slice * max(counts)],
        "k:",
        label=f"{start:.1f} s + {1000 * per_slice:.0f} ms a slice",
    )
    left.set(xlabel="slices", ylabel="s", title="The whole command, model fast", xlim=(0, None), ylim=(0, None))
    left.legend()
    right.plot(counts, [row["peak"] for row in rows], "o")
    right.set(xlabel="slices", ylabel="MiB", title="Peak memory", xlim=(0, None), ylim=(0, None))
    figure.savefig(path, dpi=110)
    plt.close(figure)
