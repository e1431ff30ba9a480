"""``lowdose evaluate``: pairs in, table and page out."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowdose.cli.terminal import progress, say, say_all

if TYPE_CHECKING:
    from lowdose.evaluate import Evaluation
    from lowdose.io.pairing import PairedSeries


def evaluate(
    out: Annotated[Path, typer.Option(help="New folder for table.csv, summary.json and index.html.")],
    low: Annotated[list[Path] | None, typer.Option(help="Low-dose series; may be given several times.")] = None,
    full: Annotated[list[Path] | None, typer.Option(help="Full-dose series, one for each --low.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Instead: a folder in which pairs of folders are looked for.")
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Model to measure; may be given several times.")] = None,
    profile: Annotated[str, typer.Option(help="Metric definitions: default, leda, red_cnn, core_diff, ldct_bench.")] = (
        "default"
    ),
    window: Annotated[tuple[float, float] | None, typer.Option(help="Other window than the profile's, in HU.")] = None,
    strength: Annotated[float, typer.Option(help="Blend of every model with the input, 0 to 1.")] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Measure low dose and models against full dose: RMSE, PSNR, SSIM, FSIM, VIF, noise, HU of every tissue."""
    from lowdose import checkpoint
    from lowdose import evaluate as evaluation
    from lowdose.device import choose_device
    from lowdose.errors import InvalidSetting
    from lowdose.hounsfield import Window
    from lowdose.infer import models, pipeline
    from lowdose.io.atomic import new_folder
    from lowdose.metrics import profiles
    from lowdose.report import page

    if profile not in profiles.PROFILES:
        raise InvalidSetting(f"--profile {profile}: choose one of {', '.join(profiles.PROFILES)}")
    chosen = profiles.PROFILES[profile]
    if window is not None:
        chosen = chosen.with_window(Window(*window))
    pipeline.check_strength(strength)
    where = choose_device(device)
    ready = [models.find(name, where) for name in dict.fromkeys(model or [checkpoint.DEFAULT_MODEL])]
    with ExitStack() as stack, new_folder(out) as folder:
        cases = open_cases(stack, low or [], full or [], data)
        count = sum(len(case.pairs) for case in cases)
        with progress("measuring", count) as advance:
            result = evaluation.evaluate(cases, ready, chosen, strength, advance)
        told = [f"{case.name}: {text}" for case in cases for text in case.warnings]
        result.warnings = list(dict.fromkeys([*told, *result.warnings]))
        say_all("warning", result.warnings)
        write(folder, result, cases)
    for image in result.images[:-1]:
        means = {metric: result.summary(metric, image) for metric in page.FIDELITY}
        say("  ".join([f"{image:>16}", *(f"{name} {found.mean:.4g}" for name, found in means.items() if found)]))
    say(f"{count} slices, {len(cases)} series; profile {chosen.name}, {chosen.window}\n{out / 'index.html'}")


def write(folder: Path, result: Evaluation, cases: list[PairedSeries]) -> None:
    """table.csv, summary.json and index.html into ``folder``."""
    from lowdose.report import page

    uids: list[dict[str, object]] = [
        {"case": case.name, "low": case.low.uids, "full": case.full.uids} for case in cases
    ]
    (folder / "table.csv").write_text(page.table_csv(result), encoding="utf-8")
    (folder / "summary.json").write_text(page.as_json(result, uids), encoding="utf-8")
    (folder / "index.html").write_text(page.page(result), encoding="utf-8")


def open_cases(stack: ExitStack, low: list[Path], full: list[Path], data: Path | None) -> list[PairedSeries]:
    """The pairs asked for, opened for as long as ``stack`` lives.

    Raises InvalidSetting when neither pairs nor a folder of pairs is given, or not the same number of both.
    """
    from lowdose.errors import InvalidSetting
    from lowdose.io.pairing import find_pairs, open_pairs

    if data is not None and (low or full):
        raise InvalidSetting("give either --data or --low with --full, not both")
    if len(low) != len(full) or not (low or data):
        raise InvalidSetting(f"{len(low)} --low and {len(full)} --full: give one --full for each --low, or --data")
    places = [(p.name, p.low, p.full) for p in find_pairs(data)] if data else []
    places += [("", a, b) for a, b in zip(low, full, strict=True)]
    cases = []
    for number, case in enumerate(open_pairs(stack, places), start=1):
        kernel = case.full.acquisition.kernel
        # Folders are often named after patients: their names stay on the terminal.
        label = f"series {number} ({kernel})" if kernel else f"series {number}"
        if case.name:
            say(f"{label}: {case.name}")
        cases.append(replace(case, name=label))
    return cases
