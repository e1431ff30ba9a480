"""Evaluation folders as Markdown tables for docs/results.md and the model cards.

python benchmarks/first_model/table.py REPORT_FOLDER ...
"""

import json
import sys
from pathlib import Path
from typing import Any

FIDELITY = ("psnr", "ssim", "fsim", "vif", "rmse")


def cell(found: dict[str, Any] | None, digits: int) -> str:
    if found is None:
        return "–"
    interval = found["interval"]
    span = f" ({interval[0]:.{digits}f}–{interval[1]:.{digits}f})" if interval else ""
    return f"{found['mean']:.{digits}f}{span}"


def table(summary: dict[str, Any]) -> str:
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
        values = [cell(find.get((image, m)), 2 if m in ("psnr", "rmse") else 3) for m in FIDELITY]
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
    for name in sys.argv[1:]:
        print(f"\n### {Path(name).name}\n\n{table(json.loads((Path(name) / 'summary.json').read_text()))}")


if __name__ == "__main__":
    main()
