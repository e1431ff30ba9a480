"""``lowdose data``: get, pack and check the data of a training; published splits and what leaks between them."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.table import Table

from lowdose.cli.terminal import console, output_of, say
from lowdose.deprecations import warn_deprecated
from lowdose.errors import InvalidSetting
from lowdose.io.messages import counted
from lowdose.logger import log_lines

if TYPE_CHECKING:
    from lowdose.data.audit.check import AuditReport
    from lowdose.data.audit.duplicates import SeriesSummary

CONTENTS = {"pairs": ("folders", "full"), "full-dose": ("none", "full"), "low-dose": ("none", "low")}
"""Value of ``--contents`` -> how slices are paired, and their dose."""

data_app = typer.Typer(
    help="Get, pack and check data; show published splits, and cases that one trains and another tests on."
)


@contextmanager
def counting(what: str) -> Iterator[Callable[[int], None]]:
    """Show a line that counts while the total is not known; on terminals only."""
    with console.status(f"{what}: 0") as status:
        yield lambda done: status.update(f"{what}: {done}")


@data_app.command()
def pack(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="Folders of DICOM, NIfTI or NumPy series.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New folder, for example thorax.pack. Required.")
    ] = None,
    contents: Annotated[
        str | None,
        typer.Option(
            help="pairs (the default): low- and full-dose folders side by side; full-dose or low-dose: every CT slice "
            "by itself, as of that dose."
        ),
    ] = None,
    old_pairing: Annotated[str | None, typer.Option("--pairing", hidden=True)] = None,
    old_dose: Annotated[str | None, typer.Option("--dose", hidden=True)] = None,
) -> None:
    """Pack slices into memory-mapped NumPy files, which training reads fast: 0.5 MiB for 512 x 512 pixels."""
    from lowdose.data import pack_writer

    last = folders.pop() if out is None and len(folders) > 1 else None
    target = output_of(out, last, "OUT")
    pairing, dose = _pairing_and_dose(contents, old_pairing, old_dose)
    with counting("slices packed") as advance:
        packed = pack_writer.write_pack(folders, target, pairing, dose, advance)
    log_lines(logging.WARNING, packed.warnings)
    kind = "pair" if pairing == "folders" else f"{dose}-dose slice"
    size = f"{packed.bytes / 2**20:.0f} MiB" if packed.bytes < 2**30 else f"{packed.bytes / 2**30:.1f} GiB"
    say(f"{counted(packed.slices, kind)}, {packed.series} series, {counted(packed.patients, 'patient')}, {size}")
    say(str(target))


def _pairing_and_dose(contents: str | None, pairing: str | None, dose: str | None) -> tuple[str, str]:
    """Return how slices are paired and their dose, from ``--contents`` or its two old options."""
    if contents is None:
        if pairing is not None or dose is not None:
            new = "pairs" if (pairing or "folders") == "folders" else f"{dose or 'full'}-dose"
            warn_deprecated("--pairing and --dose", f"--contents {new}")
        return pairing or "folders", dose or "full"
    if contents not in CONTENTS:
        raise InvalidSetting(f"--contents {contents}: must be one of {', '.join(CONTENTS)}")
    return CONTENTS[contents]


@data_app.command()
def check(
    folders: Annotated[list[Path], typer.Argument(metavar="DIR", help="Folders of series, or packs.")],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Also write everything to this JSON file.")] = None,
    old_json: Annotated[Path | None, typer.Option("--json", hidden=True)] = None,
) -> None:
    """List every CT series; find repeats, patients on two sides of a split, and what cannot be read.

    The sides of a split are folders named train, val and test below a DIR, or else each DIR. Every slice is read.
    """
    from lowdose.data.audit import check as checking
    from lowdose.io.atomic_replace import replace_file

    with counting("slices read") as advance:
        found = checking.audit_collection(folders, advance)
    if old_json is not None:
        warn_deprecated(f"--json {old_json}", f"--out {old_json}")
    if target := out or old_json:
        replace_file(target, json.dumps(found.to_dict(), indent=1).encode())
    Console(highlight=False, width=max(console.width, 120)).print(_table(found))
    for title, lines in _warnings(found):
        log_lines(logging.INFO, lines, f"{title}: ")
    patients = len({series.patient for series in found.series})
    slices = sum(series.slices for series in found.series)
    say(f"{counted(slices, 'slice')}, {len(found.series)} series, {counted(patients, 'patient')}")


def _warnings(found: AuditReport) -> list[tuple[str, list[str]]]:
    return [
        ("duplicate", found.duplicates),
        ("near-duplicate", found.near_duplicates),
        ("leak", found.leaks),
        ("unreadable", found.unreadable),
    ]


def _table(found: AuditReport) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("patient", justify="right")
    for name in ("slices", "matrix", "pixel mm", "thick mm", "step mm", "kVp", "mAs"):
        table.add_column(name, justify="right", no_wrap=True)
    for name in ("kernel", "manufacturer"):
        table.add_column(name, no_wrap=True)
    table.add_column("series", overflow="fold")
    common = os.path.commonpath([series.place for series in found.series])
    for series in found.series:
        table.add_row(*_row(series), os.path.relpath(series.place, common) if series.place != common else series.place)
    return table


def _row(series: SeriesSummary) -> Sequence[str]:
    name = f"{series.patient}" + (f" {series.case}" if series.case else "")
    pixel = None if series.pixel_mm is None else series.pixel_mm[0]
    mas = "?" if series.mas is None else "-".join(dict.fromkeys(f"{value:.0f}" for value in series.mas))
    size = f"{series.matrix[1]}x{series.matrix[0]}"
    numbers = [_number(value) for value in (pixel, series.thickness_mm, series.spacing_mm, series.kvp)]
    return [name, f"{series.slices}", size, *numbers, mas, series.kernel or "?", series.manufacturer or "?"]


def _number(value: float | None) -> str:
    return "?" if value is None else f"{value:.4g}"


@data_app.command()
def splits(name: Annotated[str | None, typer.Argument(help="Split whose cases to list.")] = None) -> None:
    """List the published splits, or the cases of one."""
    from lowdose.data.splits.published import find_split
    from lowdose.data.splits.published import splits as known

    if name is None:
        for split in known().values():
            counts = [
                _count(split.train, "training"),
                _count(split.validation, "validation"),
                _count(split.test, "test"),
            ]
            typer.echo(f"{split.name:<22} {', '.join(filter(None, counts))}\n{'':<22} {split.paper}")
        return
    split = find_split(name)
    typer.echo(f"{split.name}\n{split.paper}\n{split.collection}\nlists from {split.source}")
    if split.note:
        typer.echo(split.note)
    for side, cases in (("train", split.train), ("validation", split.validation), ("test", split.test)):
        if cases is None:
            typer.echo(f"{side}: not published; every case that is not held out")
        elif cases:
            typer.echo(f"{side} ({len(cases)}): {' '.join(sorted(cases))}")


def _count(cases: frozenset[str] | None, name: str) -> str:
    return f"{len(cases)} {name}" if cases else ""


@data_app.command()
def leakage(
    one: Annotated[str | None, typer.Argument(help="A split.")] = None,
    other: Annotated[str | None, typer.Argument(help="Another split; all others if left out.")] = None,
) -> None:
    """List the cases that one split trains or validates on and another tests on; without names, of all splits."""
    from itertools import combinations

    from lowdose.data.splits.published import find_split, leaks
    from lowdose.data.splits.published import splits as known

    if one is None:
        pairs = list(combinations(known().values(), 2))
    elif other is None:
        pairs = [(find_split(one), split) for split in known().values() if split.name != one]
    else:
        pairs = [(find_split(one), find_split(other))]
    found = [leak for a, b in pairs for leak in leaks(a, b)]
    for leak in found:
        typer.echo(str(leak))
    if not found:
        typer.echo("no leak: nothing that one trains or validates on is tested on by the other")


@data_app.command()
def download(
    collection: Annotated[str, typer.Argument(help="For example LDCT-and-Projection-data, rider_pilot or c4kc_kits.")],
    output: Annotated[Path | None, typer.Argument(hidden=True)] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="Folder for the patients; what is there already is not downloaded again. Required."
        ),
    ] = None,
    patients: Annotated[
        list[str] | None,
        typer.Option("--patients", metavar="ID", help="Only this patient; may be given several times."),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be fetched, and its size.")] = False,
) -> None:
    """Download the CT images of a public collection from the Imaging Data Commons (needs the extra 'download')."""
    from lowdose.data.download import fetch as downloading
    from lowdose.data.download import imaging_data_commons

    target = output_of(out, output, "OUT")
    client = imaging_data_commons.ImagingDataCommons(collection, target)
    names = [name for text in patients or [] for name in text.split(",") if name]
    wanted = downloading.select_series(client, collection, names)
    size = sum(series.megabytes for series in wanted) / 1000
    say(f"{len(wanted)} CT series of {counted(len({s.patient for s in wanted}), 'patient')}, {size:.1f} GB")
    if dry_run:
        return
    with counting(f"series of {len(wanted)} there") as advance:
        done = downloading.download(client, collection, target, names, advance)
    say(f"{len(done.series) - done.present} series fetched, {done.present} were there\n{target}")
    if doi := next((series.doi for series in done.series if series.doi), ""):
        say(f"cite the collection: doi {doi}")
