"""Print the reports of ``lowdose evaluate`` as Markdown tables, for docs/results.md and the model cards.

python -m experiments.first_models.evaluation_tables REPORT_FOLDER ...
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from experiments.common import markdown

FIDELITY = ("psnr", "ssim", "fsim", "vif", "rmse")


def summary_cell(found: dict[str, Any] | None, digits: int) -> str:
    """Return a mean and its interval, from one entry of summary.json."""
    if found is None:
        return "–"
    return markdown.interval_cell(found["mean"], found["interval"], f".{digits}f")


def tables(summary: dict[str, Any]) -> str:
    """Return the tables of one report: fidelity and noise, then HU changes."""
    rows = [s for s in summary["summaries"] if s["case"] == "all"]
    find = {(s["image"], s["metric"]): s for s in rows}
    images = list(dict.fromkeys(s["image"] for s in rows))
    count = next(iter(find.values()))
    tissues = [m.split(", ")[1] for m in summary["definitions"] if m.startswith("bias to low dose")]
    lines = [
        f"n = {count['n_slices']} slices of {count['n_patients']} patient; intervals are 95 % bootstrap over slices.",
        "",
        "| image | PSNR (dB) | SSIM | FSIM | VIF | RMSE (HU) | noise SD (HU) | f_av (1/mm) |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for image in images:
        values = [summary_cell(find.get((image, m)), 2 if m in ("psnr", "rmse") else 3) for m in FIDELITY]
        noise = [
            f"{find[image, m]['mean']:.{d}f}" if (image, m) in find else "–"
            for m, d in (("noise SD", 1), ("noise f_av", 3))
        ]
        lines.append(f"| {image} | {' | '.join([*values, *noise])} |")
    for reference in ("low dose", "full dose"):
        lines += ["", f"| HU change against {reference} | {' | '.join(tissues)} |", "|---" * (len(tissues) + 1) + "|"]
        for image in images:
            found = [find.get((image, f"bias to {reference}, {t}")) for t in tissues]
            if any(found):
                means = [f"{f['mean']:+.2f}" if f else "–" for f in found]
                lines.append(f"| {image} | {' | '.join(means)} |")
    return "\n".join(lines)


def main() -> None:
    """Print the tables of every folder."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("reports", type=Path, nargs="+", help="folders that 'lowdose evaluate' wrote")
    for folder in parser.parse_args().reports:
        print(f"\n### {folder.name}\n\n{tables(json.loads((folder / 'summary.json').read_text()))}")


if __name__ == "__main__":
    main()
