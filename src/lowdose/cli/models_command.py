"""``lowdose models``: list models, show one, add and remove your own."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from lowdose.cli.terminal import console, say
from lowdose.logger import log_lines

if TYPE_CHECKING:
    from lowdose.models.catalogue import CatalogueEntry
    from lowdose.models.model_info import ModelInfo

WIDTH = 100
LONGEST = 300
"""Characters of a value that are printed."""

models_app = typer.Typer(help="List models, show one, add or remove your own.")


@models_app.callback(invoke_without_command=True)
def models(
    context: typer.Context,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print the list as JSON, with the metadata of the files.")
    ] = False,
) -> None:
    """List every model usable by name: shipped ones, those you added, classical filters."""
    if context.invoked_subcommand is not None:
        return
    from lowdose.models import catalogue
    from lowdose.weights import user_models
    from lowdose.weights.identity import DEFAULT_MODEL

    entries, problems = catalogue.list_entries()
    if as_json:
        typer.echo(json.dumps([_plain(entry) for entry in entries], indent=1))
    else:
        Console(highlight=False, markup=False, width=max(console.width, WIDTH)).print(_table(entries))
        own = [entry.name for entry in entries if entry.origin == catalogue.ADDED]
        typer.echo(f"\ndefault of 'lowdose denoise': {DEFAULT_MODEL}")
        typer.echo(
            f"added, in {user_models.models_folder()}: {', '.join(own)}"
            if own
            else "added by you: none ('lowdose models add')"
        )
    log_lines(logging.WARNING, problems)


@models_app.command()
def show(name: Annotated[str, typer.Argument(help="A model by name, or a safetensors file.")]) -> None:
    """Show the card of a model and the metadata of its file."""
    from lowdose.io.messages import printable
    from lowdose.models import catalogue

    entry = catalogue.find_entry(name)
    parts = [entry.card.rstrip(), "\n".join(_lines(entry))]
    typer.echo(printable("\n\n".join(part for part in parts if part).replace("\t", "    ")))


@models_app.command()
def add(
    file: Annotated[Path, typer.Argument(help="A denoiser: model.safetensors of 'lowdose train'.")],
    name: Annotated[
        str | None, typer.Option(help="Name of the model; if left out, that of the file or of the run folder.")
    ] = None,
) -> None:
    """Check a denoiser and copy it, with a card beside it, so that --model NAME finds it from then on."""
    from lowdose.models import install
    from lowdose.weights import user_models

    chosen = install.install_model(file, name)
    say(f"added '{chosen}' to {user_models.models_folder()}")
    say(f"use it: lowdose denoise INPUT --out OUTPUT --model {chosen}")


@models_app.command()
def remove(name: Annotated[str, typer.Argument(help="A model that you added.")]) -> None:
    """Remove a model that you added; shipped ones stay."""
    from lowdose.models import install

    install.uninstall_model(name)
    say(f"removed '{name}'")


def _table(entries: list[CatalogueEntry]) -> Table:
    from lowdose.weights.identity import DEFAULT_MODEL

    table = Table(box=None, pad_edge=False, header_style="bold")
    table.add_column("name", overflow="fold", min_width=12)
    table.add_column("kind", no_wrap=True)
    table.add_column("network", overflow="fold")
    for column in ("parameters", "MB", "noise\nSD HU", "pixel\nmm", "slice\nmm"):
        table.add_column(column, justify="right", no_wrap=True)
    for entry in entries:
        name = f"{entry.name} (default)" if entry.name == DEFAULT_MODEL else entry.name
        table.add_row(name, *_row(entry))
    return table


def _row(entry: CatalogueEntry) -> list[str]:
    if entry.info is None:
        return ["?", "cannot be used"] if entry.problem else ["classical", *[""] * 6]
    info = entry.info
    count = "" if info.parameters is None else f"{info.parameters:,}"
    ranges = [_range(info.ranges.get(key)) for key in ("noise_sd", "pixel_mm", "thickness_mm")]
    size = f"{info.size / 1e6:.1f}" if info.size >= 1e5 else "<0.1"
    return [info.kind, info.network, count, size, *ranges]


def _range(value: tuple[float, float] | None) -> str:
    if value is None:
        return ""
    low, high = (f"{end:.3g}" for end in value)
    return low if low == high else f"{low}-{high}"


def _lines(entry: CatalogueEntry) -> list[str]:
    """List what the file of a model says of itself, a line each."""
    info = entry.info
    if info is None:
        return [f"{'kind':<12}{entry.origin}"]
    checked = " (as in the index)" if entry.origin in ("shipped", "added") else ""
    stated = {
        "kind": f"{info.kind}, {entry.origin}",
        "network": f"{info.network}{_listed(info.settings, '; ')}",
        "parameters": "" if info.parameters is None else f"{info.parameters:,}",
        "scale": _scale(info.scale),
        "local means": _local_means(info.local_means_px),
        "made for": _domain(info),
        "file": f"{info.size / 1e6:.2f} MB, weights as {info.precision}",
        "SHA-256": info.sha256 + checked,
        "training": _listed(info.training),
        **{key: _value(value) for key, value in info.rest.items()},
    }
    # Hashes and names of files are for copying: no break inside a word.
    indent = " " * 12
    return [
        fill(f"{key:<11} {text}", WIDTH, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
        for key, text in stated.items()
        if text
    ]


def _domain(info: ModelInfo) -> str:
    from lowdose.models.training_domain import QUANTITIES

    found = [
        f"{QUANTITIES[key][0]} {_range(value)} {QUANTITIES[key][1]}"
        for key, value in info.ranges.items()
        if value is not None
    ]
    return ", ".join(found) or ("no range stated" if info.ranges else "")


def _scale(scale: Mapping[str, float]) -> str:
    if not scale:
        return ""
    return (
        f"{scale['zero']:g} HU is 0 and {scale['one']:g} HU is 1 to the network; "
        f"values outside {scale['low']:g} to {scale['high']:g} HU are kept"
    )


def _local_means(width_px: float | None) -> str:
    if width_px is None:
        return ""
    return f"kept, Gaussian of {width_px:g} pixels" if width_px > 0 else "not kept: those of the network"


def _listed(values: Mapping[str, Any], start: str = "") -> str:
    words = [f"{key} {_value(value)}" for key, value in values.items() if value is not None]
    return f"{start}{', '.join(words)}" if words else ""


def _value(value: object) -> str:
    """Shorten a value: long lists are counted, long texts cut."""
    if isinstance(value, list) and len(str(value)) > LONGEST:
        return f"{len(value)} entries"
    text = str(value)
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."


def _plain(entry: CatalogueEntry) -> dict[str, Any]:
    """Return everything but the card as plain Python; long values of the header are shortened."""
    found = asdict(entry)
    del found["card"]
    if entry.info:
        found["info"]["rest"] = {key: _value(value) for key, value in entry.info.rest.items()}
    return found
