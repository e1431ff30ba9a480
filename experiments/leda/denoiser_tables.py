"""Write LEDA's Tables 1-4 from the runs of the two training scripts, measured on pairs, beside the paper's figures.

    python -m experiments.leda.denoiser_tables OUT PAIRS [--split mayo-2016-leda] [--report REPORT]

OUT: folder of train_denoisers.sh and train_autoencoders.sh. PAIRS: folder of quarter and full dose; with --split only
its test patients. Every kernel has tables of its own, since noise and texture of a sharp and of a soft kernel are two
problems. Metrics are those of the library's evaluation, profile "default": PSNR, SSIM, FSIM on [-160, 240] HU; noise SD
and f_av in soft tissue. Beside each mean stands its 95 % bootstrap interval; where there are fewer than five patients
it is over slices, and says nothing of other patients. Differences are slice by slice from the same network trained by
MSE. --report: every number as CSV, one file for each kernel.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from experiments.common import markdown
from experiments.common.pairs import open_pair_folders
from experiments.leda import published_results
from lowdose.data.splits.published import find_split
from lowdose.evaluation.images import FULL, LOW, ImageEvaluation, evaluate_images
from lowdose.io.pairing import PairedSeries
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
HEADER = ["PSNR (dB)", "SSIM", "FSIM", "noise SD (HU)", "f_av (1/mm)"]
PAPER = ["paper, Mayo-2016", "paper, Mayo-2020"]


class Run(NamedTuple):
    """One trained denoiser.

    Attributes
    ----------
    folder : Path
        Run folder.
    network : str
        Name of the network.
    row : str
        Key of ``ROWS``.
    tag : str
        Autoencoder that LEDA used, '' for the default one.
    title : str
        Name in the tables.
    """

    folder: Path
    network: str
    row: str
    tag: str
    title: str


def find_runs(out: Path) -> list[Run]:
    """Return the runs below OUT that have weights, by network, tag and row."""
    found = []
    for file in sorted(out.glob("*/*/model.safetensors")):
        row, dash, tag = file.parent.name.partition("-")
        if row in ROWS:
            network = json.loads((file.parent / "run.json").read_text())["network"]
            name = str(network.pop("name"))
            hyperparameters = ", ".join(f"{key} {value}" for key, value in network.items())
            title = f"{name} ({hyperparameters}) {ROWS[row]}{f' by {tag}' if dash else ''}"
            found.append(Run(file.parent, name, row, tag, title))
    return sorted(found, key=lambda run: (run.folder.parent.name, run.tag, list(ROWS).index(run.row)))


def load_runs(chosen: Sequence[Run], device: torch.device) -> list[LoadedModel]:
    """Load the models of the runs under their titles."""
    return [replace(load.load_by_name(str(run.folder / "model.safetensors"), device), name=run.title) for run in chosen]


def by_kernel(cases: Sequence[PairedSeries], split: str | None) -> dict[str, list[PairedSeries]]:
    """Return the cases of each kernel; with a split only those of its test patients."""
    tested = None if split is None else find_split(split).test
    found: dict[str, list[PairedSeries]] = {}
    for number, case in enumerate(cases, start=1):
        if tested is None or case.case in tested:
            kernel = case.full.acquisition.kernel or "kernel not stated"
            found.setdefault(kernel, []).append(replace(case, name=f"series {number} ({kernel})"))
    return found


def image_cells(result: ImageEvaluation, image: str) -> list[str]:
    """Return the metrics of one image."""
    return [markdown.summary_cell(result.summary(metric, image), digits) for metric, digits in DIGITS.items()]


def published_cells(run: Run) -> list[str]:
    """Return the paper's figures for a run."""
    return [
        str(found.get((run.network, run.row), "–"))
        for found in (published_results.MAYO_2016, published_results.MAYO_2020)
    ]


def metric_table(result: ImageEvaluation, chosen: Sequence[Run]) -> str:
    """Return the table of low dose, every run, and full dose, of which only the noise is measured."""
    lines = [["low dose", *image_cells(result, LOW), "–", "–"]]
    lines += [[run.title, *image_cells(result, run.title), *published_cells(run)] for run in chosen]
    return markdown.table(["image", *HEADER, *PAPER], [*lines, ["full dose", *image_cells(result, FULL), "–", "–"]])


def difference_table(result: ImageEvaluation, chosen: Sequence[Run]) -> str:
    """Return the table of every run minus MSE alone of the same network."""
    base = {run.folder.parent: run for run in chosen if run.row == "mse"}
    lines = []
    for run in chosen:
        twin = base.get(run.folder.parent)
        if twin is None or run is twin:
            continue
        lines.append([run.title, *(_change(result, run, twin, metric) for metric in DIGITS), *_published_change(run)])
    return markdown.table(["minus MSE alone", *HEADER, *PAPER], lines)


def _change(result: ImageEvaluation, run: Run, twin: Run, metric: str) -> str:
    (after, patients), (before, _) = result.values(metric, run.title), result.values(metric, twin.title)
    if not after or len(after) != len(before):  # noise cannot be measured in every slice
        return "–"
    return markdown.summary_cell(paired_difference(after, before, patients, seed=0), DIGITS[metric], "+")


def _published_change(run: Run) -> Iterator[str]:
    for found in (published_results.MAYO_2016, published_results.MAYO_2020):
        own, base = found.get((run.network, run.row)), found.get((run.network, "mse"))
        pairs = zip(own, base, DIGITS.values(), strict=False) if own and base else []
        yield " / ".join(f"{a - b:+.{digits}f}" for a, b, digits in pairs) or "–"


def autoencoder_table(out: Path, result: ImageEvaluation, chosen: Sequence[Run]) -> str:
    """Return Table 4: how autoencoders reconstruct, and what the denoiser trained with each does."""
    lines = []
    for kind, (fid, psnr, ssim) in published_results.AUTOENCODERS.items():
        file = out / "autoencoders" / kind / "reconstruction.json"
        run = next((run for run in chosen if run.tag == kind and run.row == "leda"), None)
        if not file.exists():
            continue
        whole = json.loads(file.read_text())["all"]
        distance = whole["frechet"]
        denoised = image_cells(result, run.title)[:2] if run else ["–", "–"]
        lines.append(
            [
                kind,
                markdown.interval_cell(distance["value"], distance["interval"], 3),
                markdown.interval_cell(whole["psnr"]["mean"], whole["psnr"]["interval"]),
                *denoised,
                f"{fid:.2f} → {psnr:.2f} / {ssim:.4f}",
            ]
        )
    heads = ["autoencoder", "Frechet distance", "PSNR of reconstruction (dB)", "denoised PSNR (dB)", "denoised SSIM"]
    return markdown.table([*heads, "paper: FID → PSNR / SSIM"], lines)


def counts(result: ImageEvaluation) -> str:
    """Return the numbers of slices and patients, and what the intervals are over."""
    found = result.summary("psnr", LOW)
    assert found is not None
    over = f"over {found.interval_of}" if found.interval_of else "none"
    return f"n = {found.n_slices} slices of {found.n_patients} patient(s); intervals: 95 % bootstrap, {over}."


def sections(out: Path, kernel: str, result: ImageEvaluation, all_runs: Sequence[Run]) -> Iterator[str]:
    """Yield all tables of one kernel."""
    default = [run for run in all_runs if not run.tag]
    firsts = [run for run in default if run.row in ("mse", "perceptual", "leda")]
    thirds = [run for run in default if run.row in ("mse", "leda_c", "leda_d", "leda")]
    yield f"## {kernel}\n\n{counts(result)}\n"
    yield f"### Tables 1 and 2: objectives\n\n{metric_table(result, firsts)}\n\n{difference_table(result, firsts)}\n"
    if any(run.row in ("leda_c", "leda_d") for run in thirds):
        yield f"### Table 3: parts of LEDA\n\n{metric_table(result, thirds)}\n\n{difference_table(result, thirds)}\n"
    if any(run.tag for run in all_runs):
        tried = [run for run in all_runs if run.tag or run.row == "mse"]
        tables = f"{autoencoder_table(out, result, all_runs)}\n\n{difference_table(result, tried)}"
        yield f"### Table 4: autoencoders\n\n{tables}\n"


def main() -> None:
    """Evaluate all runs on all kernels."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("pairs", type=Path)
    parser.add_argument("--split", help="'lowdose data splits' lists them")
    parser.add_argument("--report", type=Path)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    arguments = parser.parse_args()
    chosen = find_runs(arguments.out)
    with ExitStack() as stack:
        for kernel, cases in by_kernel(open_pair_folders(stack, [arguments.pairs]), arguments.split).items():
            models = load_runs(chosen, torch.device(arguments.device))
            result = evaluate_images(cases, models, PROFILES["default"], 1.0, lambda done: None)
            print(
                "\n".join(
                    [f"warning: {text}" for text in result.warnings]
                    + list(sections(arguments.out, kernel, result, chosen))
                ),
                flush=True,
            )
            if arguments.report:
                arguments.report.mkdir(parents=True, exist_ok=True)
                (arguments.report / f"{kernel}.csv").write_text(table_csv(result))


if __name__ == "__main__":
    main()
