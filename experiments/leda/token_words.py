"""Read the words of LEDA's autoencoder in real, shuffled and digital slices and in pairs, and judge them.

    python -m experiments.leda.token_words read AUTOENCODER SHARED_CT DIGITAL WORDS.jsonl [DENOISER ...]
    python -m experiments.leda.token_words judge WORDS.jsonl SECTION.md
    python -m experiments.leda.token_words draw AUTOENCODER SHARED_CT PICTURE.png

Words are judged by token_word_rule.md. SHARED_CT: folder with "normal-dose" and "pairs". DIGITAL: folder of
NNNNN-hu.npy, (z, y, x) HU. OMP_NUM_THREADS=1 is enough.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path

import numpy as np
import torch
from matplotlib.figure import Figure
from matplotlib.image import imread

from experiments.leda import token_word_tables
from experiments.slice_words import score_words
from lowdose.evaluation import words
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.image import AIR, HU, Mask, Slice
from lowdose.infer import pipeline
from lowdose.io import pairing
from lowdose.language import autoencoder_file
from lowdose.language.explanation import explain_slice, vocabulary_of
from lowdose.models import load
from lowdose.report import overlay

ABDOMEN = ("kits", "totalsegmentator", "ny-sbu-chest/A027284", "ny-sbu-chest/A058062", "ny-sbu-chest/A062055")
SLICES, BLOCK, SEED = 200, 32, 0
"""Number of slices for the use of the codebook; side of a shuffled block in pixels."""

COMMANDS = {
    "read": ("autoencoder", "shared", "patients", "out"),
    "judge": ("words", "out"),
    "draw": ("autoencoder", "shared", "out"),
}
"""Positional arguments of each command."""

DENSE_STEP = 4
"""Step between the slices that are shuffled of the chest whose slices lie 0.8 mm apart; of other series all are."""


Item = tuple[str, str, Callable[[], HU]]
"""Kind, name, and a function that returns (y, x) HU."""


def region_of(name: str) -> str:
    """Return the region of the body that a slice of a real series shows."""
    return "abdomen" if name.startswith(ABDOMEN) else "chest"


def shuffled_pixels(hu: HU, rng: np.random.Generator) -> HU:
    """Return the same pixels in random order."""
    return rng.permutation(hu.ravel()).reshape(hu.shape)


def shuffled_blocks(hu: HU, rng: np.random.Generator) -> HU:
    """Return the same blocks in random order; what is left over at the far edges is cut off."""
    rows, columns = (side // BLOCK for side in hu.shape)
    parts = hu[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    parts = rng.permutation(parts.reshape(-1, BLOCK, BLOCK)).reshape(rows, columns, BLOCK, BLOCK)
    return np.ascontiguousarray(parts.swapaxes(1, 2).reshape(rows * BLOCK, columns * BLOCK))


def real_slices(folder: Path, dense: bool) -> Iterator[Item]:
    """Yield every slice of the normal-dose series.

    ``dense`` gives those of the one chest that are left out elsewhere.
    """
    for number, (name, item) in enumerate(score_words.read_slices(folder)):
        if dense == (name.startswith("rider") and number % DENSE_STEP > 0):
            yield "real", name, partial(np.asarray, item.in_air)


def shuffled_slices(folder: Path) -> Iterator[Item]:
    """Yield the slices of ``real_slices`` without dense ones, shuffled by blocks and by pixels."""
    for number, (name, item) in enumerate(score_words.read_slices(folder)):
        if not name.startswith("rider") or number % DENSE_STEP == 0:
            for kind, shuffle in (("blocks", shuffled_blocks), ("pixels", shuffled_pixels)):
                yield kind, name, partial(shuffle, item.in_air, np.random.default_rng([SEED, number]))


def digital_slices(folder: Path, count: int) -> Iterator[Item]:
    """Yield the middle slice of ``count`` patients, evenly spread."""
    found = sorted(folder.glob("*-hu.npy"))
    for index in np.linspace(0, len(found) - 1, count).round().astype(int):
        volume = np.load(found[index], mmap_mode="r")
        yield "digital", found[index].name, partial(np.asarray, volume[len(volume) // 2], np.float32)


def paired_slices(folder: Path, denoisers: list[str]) -> Iterator[Item]:
    """Yield every slice of the real pairs at full dose, at low dose, and denoised by each model."""
    ready = [load.load_by_name(name, torch.device("cpu")) for name in denoisers]
    for low_path in sorted(folder.glob("mayo-2016/*/quarter")):
        with ExitStack() as stack:
            (series,) = pairing.open_pairs(stack, [(low_path.parent.name, low_path, low_path.parent / "full")])
            for low_index, full_index in series.pairs:
                low, full = series.low.read(low_index), series.full.read(full_index)
                valid, name = low.valid & full.valid, f"{series.name}/{low.position}"
                yield "full", name, partial(np.where, valid, full.hu, AIR)
                yield "low", name, partial(np.where, valid, low.hu, AIR)
                for path, model in zip(denoisers, ready, strict=True):
                    yield Path(path).stem, name, partial(_denoised, model, low, valid)


def _denoised(model: load.LoadedModel, low: Slice, valid: Mask) -> HU:
    return np.where(valid, pipeline.denoise_slice(model, low, 1.0), AIR)


def read(autoencoder: str, shared: str, patients: str, out: str, *denoisers: str) -> None:
    """Write a line for each slice with its tokens, layer by layer; continues where an earlier call ended."""
    torch.set_num_threads(1)
    model = autoencoder_file.load_autoencoder(autoencoder)
    known = vocabulary_of(model)
    path = Path(out)
    if not path.exists():
        header = {"tokens": known.tokens, "whole": np.flatnonzero(known.readable).tolist()}
        path.write_text(json.dumps(header) + "\n")
    done = {(row["kind"], row["name"]) for row in map(json.loads, path.read_text().splitlines()[1:])}
    folder, synthetic = Path(shared) / "normal-dose", SLICES - len(score_words.load_facts())
    items = (
        paired_slices(Path(shared) / "pairs", list(denoisers or ["fast"])),
        real_slices(folder, False),
        shuffled_slices(folder),
    )
    with path.open("a") as file:
        for kind, name, make in chain(*items, digital_slices(Path(patients), synthetic), real_slices(folder, True)):
            if (kind, name) in done:
                continue
            layers = [layer.tokens.tolist() for layer in explain_slice(model, np.asarray(make(), np.float32)).layers]
            region = region_of(name) if kind in ("real", "pixels", "blocks") else ""
            file.write(json.dumps({"kind": kind, "name": name, "region": region, "layers": layers}) + "\n")
            file.flush()


def judge(found: str, out: str) -> None:
    """Write the tables on the words that ``read`` left."""
    header, *rows = map(json.loads, Path(found).read_text().splitlines())
    Path(out).write_text(token_word_tables.section({**header, "rows": rows}))


def draw(autoencoder: str, shared: str, out: str) -> None:
    """Draw layers 1 and 2 on the middle slices of the first two series of each region; none is chosen by its result."""
    model = autoencoder_file.load_autoencoder(autoencoder)
    names = list(score_words.load_facts())
    series: dict[str, list[str]] = {}
    for name in names:
        series.setdefault(score_words.series_of(name), []).append(name)
    chosen = [
        found[len(found) // 2] for region in ("chest", "abdomen") for found in series_of_region(series, region)[:2]
    ]
    figure = Figure(figsize=(13, 13), layout="constrained")
    places = dict(zip(chosen, figure.subplots(2, 2).flat, strict=True))
    for name, item in score_words.read_slices(Path(shared) / "normal-dose"):
        if name in places:
            reading = words.read_words(model, {name: item.in_air}, words.SliceLocation(aspect=item.aspect))
            places[name].imshow(imread(BytesIO(overlay.words_of(reading, name, SOFT_TISSUE))))
            places[name].set_axis_off()
    figure.savefig(out, dpi=100)


def series_of_region(series: dict[str, list[str]], region: str) -> list[list[str]]:
    """Return the slices of each series of a region."""
    return [found for name, found in series.items() if region_of(name) == region]


def main() -> None:
    """Run one of the three commands."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    for name, positional in COMMANDS.items():
        command = commands.add_parser(name)
        for argument in positional:
            command.add_argument(argument)
        if name == "read":
            command.add_argument("denoisers", nargs="*")
    arguments = parser.parse_args()
    values = [getattr(arguments, argument) for argument in COMMANDS[arguments.command]]
    run = {"read": read, "judge": judge, "draw": draw}[arguments.command]
    run(*values, *getattr(arguments, "denoisers", []))


if __name__ == "__main__":
    main()
