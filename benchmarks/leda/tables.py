"""LEDA's Tables 1-4 from the runs of denoisers.sh and autoencoders.sh, measured on pairs, beside the paper's figures.

    python benchmarks/leda/tables.py OUT PAIRS [--split mayo-2016-leda] [--report REPORT]

PAIRS: folders of quarter and full dose; with --split only its test patients. Every kernel has tables of its own: noise
and texture of a sharp and of a soft one are two problems. Measured by the library's evaluation, profile 'default':
PSNR, SSIM, FSIM on [-160, 240] HU; noise SD and f_av in soft tissue. Beside each mean its 95 % bootstrap interval, over
slices where there are fewer than five patients: it says nothing of other patients then. Differences are slice by slice
against the same network's MSE twin. --report: every number as CSV, one file a kernel.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import cells
import paper
import torch

from lowdose.data.splits.published import find_split
from lowdose.evaluation.images import FULL, LOW, ImageEvaluation, evaluate_images
from lowdose.io.pairing import PairedSeries, find_pairs, open_pairs
from lowdose.metrics.profiles import PROFILES
from lowdose.metrics.statistics import paired_difference
from lowdose.models import load
from lowdose.models.load import LoadedModel
from lowdose.report.page import table_csv

ROWS = {
    "mse": "MSE alone",
    "perceptual": "+ perceptual",
    "leda_c": "+ LEDA-C",
    "leda_d": "+ LEDA-D",
    "leda": "+ LEDA",
}
DIGITS = {"psnr": 2, "ssim": 4, "fsim": 4, "noise SD": 1, "noise f_av": 3}
HEADS = ["PSNR (dB)", "SSIM", "FSIM", "noise SD (HU)", "f_av (1/mm)"]
PAPER = ["paper, Mayo-2016", "paper, Mayo-2020"]


class Run(NamedTuple):
    """One trained denoiser. row: of ``ROWS``; tag: which autoencoder, '' for the usual one."""

    folder: Path
    network: str
    row: str
    tag: str
    title: str


def runs(out: Path) -> list[Run]:
    """Those below OUT that have weights, networks in order of their names, rows in the order of ``ROWS``."""
    found = []
    for file in sorted(out.glob("*/*/model.safetensors")):
        row, dash, tag = file.parent.name.partition("-")
        if row in ROWS:
            made = json.loads((file.parent / "run.json").read_text())["network"]
            name = str(made.pop("name"))
            hyperparameters = ", ".join(f"{key} {value}" for key, value in made.items())
            title = f"{name} ({hyperparameters}) {ROWS[row]}{f' by {tag}' if dash else ''}"
            found.append(Run(file.parent, name, row, tag, title))
    return sorted(found, key=lambda run: (run.folder.parent.name, run.tag, list(ROWS).index(run.row)))


def ready(chosen: Sequence[Run], device: torch.device) -> list[LoadedModel]:
    return [replace(load.load_by_name(str(run.folder / "model.safetensors"), device), name=run.title) for run in chosen]


def by_kernel(cases: Sequence[PairedSeries], split: str | None) -> dict[str, list[PairedSeries]]:
    """Cases of each kernel; with a split those of its test patients."""
    tested = None if split is None else find_split(split).test
    found: dict[str, list[PairedSeries]] = {}
    for number, case in enumerate(cases, start=1):
        if tested is None or case.case in tested:
            kernel = case.full.acquisition.kernel or "kernel not stated"
            found.setdefault(kernel, []).append(replace(case, name=f"series {number} ({kernel})"))
    return found


def line(result: ImageEvaluation, image: str) -> list[str]:
    return [cells.of_summary(result.summary(metric, image), digits) for metric, digits in DIGITS.items()]


def published(run: Run) -> list[str]:
    return [str(found.get((run.network, run.row), "–")) for found in (paper.MAYO_2016, paper.MAYO_2020)]


def rows_of(result: ImageEvaluation, chosen: Sequence[Run]) -> str:
    """Low dose, every run, full dose (of which only the noise can be told)."""
    lines = [["low dose", *line(result, LOW), "–", "–"]]
    lines += [[run.title, *line(result, run.title), *published(run)] for run in chosen]
    return cells.table(["image", *HEADS, *PAPER], [*lines, ["full dose", *line(result, FULL), "–", "–"]])


def differences(result: ImageEvaluation, chosen: Sequence[Run]) -> str:
    """Every run minus the MSE alone of its network."""
    base = {run.folder.parent: run for run in chosen if run.row == "mse"}
    lines = []
    for run in chosen:
        twin = base.get(run.folder.parent)
        if twin is None or run is twin:
            continue
        lines.append([run.title, *(_change(result, run, twin, metric) for metric in DIGITS), *_published_change(run)])
    return cells.table(["minus MSE alone", *HEADS, *PAPER], lines)


def _change(result: ImageEvaluation, run: Run, twin: Run, metric: str) -> str:
    (after, patients), (before, _) = result.values(metric, run.title), result.values(metric, twin.title)
    if not after or len(after) != len(before):  # noise is not found in every slice
        return "–"
    return cells.of_summary(paired_difference(after, before, patients, seed=0), DIGITS[metric], "+")


def _published_change(run: Run) -> Iterator[str]:
    for found in (paper.MAYO_2016, paper.MAYO_2020):
        own, base = found.get((run.network, run.row)), found.get((run.network, "mse"))
        pairs = zip(own, base, DIGITS.values(), strict=False) if own and base else []
        yield " / ".join(f"{a - b:+.{digits}f}" for a, b, digits in pairs) or "–"


def fourth(out: Path, result: ImageEvaluation, chosen: Sequence[Run]) -> str:
    """Autoencoders: how they reconstruct, and what the denoiser trained with each does."""
    lines = []
    for kind, (fid, psnr, ssim) in paper.AUTOENCODERS.items():
        file = out / "autoencoders" / kind / "reconstruction.json"
        run = next((run for run in chosen if run.tag == kind and run.row == "leda"), None)
        if not file.exists():
            continue
        told = json.loads(file.read_text())
        whole = told["all"]
        distance = whole["frechet"]
        denoised = line(result, run.title)[:2] if run else ["–", "–"]
        lines.append(
            [
                kind,
                cells.cell(distance["value"], distance["interval"], 3),
                cells.cell(whole["psnr"]["mean"], whole["psnr"]["interval"]),
                *denoised,
                f"{fid:.2f} → {psnr:.2f} / {ssim:.4f}",
            ]
        )
    heads = ["autoencoder", "Frechet distance", "PSNR of reconstruction (dB)", "denoised PSNR (dB)", "denoised SSIM"]
    return cells.table([*heads, "paper: FID → PSNR / SSIM"], lines)


def told(result: ImageEvaluation) -> str:
    found = result.summary("psnr", LOW)
    assert found is not None
    over = f"over {found.interval_of}" if found.interval_of else "none"
    return f"n = {found.n_slices} slices of {found.n_patients} patient(s); intervals: 95 % bootstrap, {over}."


def sections(out: Path, kernel: str, result: ImageEvaluation, all_runs: Sequence[Run]) -> Iterator[str]:
    usual = [run for run in all_runs if not run.tag]
    firsts = [run for run in usual if run.row in ("mse", "perceptual", "leda")]
    thirds = [run for run in usual if run.row in ("mse", "leda_c", "leda_d", "leda")]
    yield f"## {kernel}\n\n{told(result)}\n"
    yield f"### Tables 1 and 2: objectives\n\n{rows_of(result, firsts)}\n\n{differences(result, firsts)}\n"
    if any(run.row in ("leda_c", "leda_d") for run in thirds):
        yield f"### Table 3: parts of LEDA\n\n{rows_of(result, thirds)}\n\n{differences(result, thirds)}\n"
    if any(run.tag for run in all_runs):
        tried = [run for run in all_runs if run.tag or run.row == "mse"]
        yield f"### Table 4: autoencoders\n\n{fourth(out, result, all_runs)}\n\n{differences(result, tried)}\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--split", help="'lowdose data splits' lists them")
    parser.add_argument("--report", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    given = parser.parse_args()
    chosen = runs(given.out)
    with ExitStack() as stack:
        places = [(pair.name, pair.low, pair.full) for pair in find_pairs(given.pairs)]
        for kernel, cases in by_kernel(open_pairs(stack, places), given.split).items():
            ready_models = ready(chosen, torch.device(given.device))
            result = evaluate_images(cases, ready_models, PROFILES["default"], 1.0, lambda done: None)
            print(
                "\n".join(
                    [f"warning: {text}" for text in result.warnings] + list(sections(given.out, kernel, result, chosen))
                ),
                flush=True,
            )
            if given.report:
                given.report.mkdir(parents=True, exist_ok=True)
                (given.report / f"{kernel}.csv").write_text(table_csv(result))


if __name__ == "__main__":
    main()
