"""The words that LEDA's autoencoder reads in real slices, shuffled ones, digital patients and pairs; and their figures.

python benchmarks/leda/words.py read AUTOENCODER SHARED_CT DIGITAL WORDS.jsonl [DENOISER ...]
python benchmarks/leda/words.py judge WORDS.jsonl SECTION.md
python benchmarks/leda/words.py draw AUTOENCODER SHARED_CT PICTURE.png

Words are judged by words_rule.md. DIGITAL: a folder of NNNNN-hu.npy, (z, y, x) HU. OMP_NUM_THREADS=1 is enough.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from functools import partial
from io import BytesIO
from itertools import chain
from pathlib import Path

import numpy as np
import torch
import words_figures
from matplotlib.figure import Figure
from matplotlib.image import imread

from lowdose.evaluation import words
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.image import AIR, HU, Mask, Slice
from lowdose.infer import pipeline
from lowdose.io import pairing
from lowdose.language import autoencoder_file
from lowdose.language.explanation import explain_slice, vocabulary_of
from lowdose.models import load
from lowdose.report import overlay

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "words"))
import judge

ABDOMEN = ("kits", "totalsegmentator", "ny-sbu-chest/A027284", "ny-sbu-chest/A058062", "ny-sbu-chest/A062055")
SLICES, BLOCK, SEED = 200, 32, 0
"""Slices for the use of the codebook; pixels a side of a shuffled block."""

EVERY = 4
"""Of the one chest whose slices lie 0.8 mm apart, every fourth is shuffled; of the other series all."""


Item = tuple[str, str, Callable[[], HU]]
"""Kind, name, and how to get (y, x) HU."""


def region_of(name: str) -> str:
    """Of the slice of a real series."""
    return "abdomen" if name.startswith(ABDOMEN) else "chest"


def shuffled_pixels(hu: HU, rng: np.random.Generator) -> HU:
    """The same values, each anywhere."""
    return rng.permutation(hu.ravel()).reshape(hu.shape)


def shuffled_blocks(hu: HU, rng: np.random.Generator) -> HU:
    """The same blocks, each anywhere; what is left over at the far edges is cut off."""
    rows, columns = (side // BLOCK for side in hu.shape)
    parts = hu[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK).swapaxes(1, 2)
    parts = rng.permutation(parts.reshape(-1, BLOCK, BLOCK)).reshape(rows, columns, BLOCK, BLOCK)
    return np.ascontiguousarray(parts.swapaxes(1, 2).reshape(rows * BLOCK, columns * BLOCK))


def real(folder: Path, dense: bool) -> Iterator[Item]:
    """Every slice of the normal-dose series; dense: those of the one chest that are left out elsewhere."""
    for number, (name, item) in enumerate(judge.slices(folder)):
        if dense == (name.startswith("rider") and number % EVERY > 0):
            yield "real", name, partial(np.asarray, item.in_air)


def shuffled(folder: Path) -> Iterator[Item]:
    """The same slices as ``real`` without dense, by blocks and by pixels."""
    for number, (name, item) in enumerate(judge.slices(folder)):
        if not name.startswith("rider") or number % EVERY == 0:
            for kind, shuffle in (("blocks", shuffled_blocks), ("pixels", shuffled_pixels)):
                yield kind, name, partial(shuffle, item.in_air, np.random.default_rng([SEED, number]))


def digital(folder: Path, count: int) -> Iterator[Item]:
    """The middle slice of ``count`` patients, evenly spread."""
    found = sorted(folder.glob("*-hu.npy"))
    for index in np.linspace(0, len(found) - 1, count).round().astype(int):
        volume = np.load(found[index], mmap_mode="r")
        yield "digital", found[index].name, partial(np.asarray, volume[len(volume) // 2], np.float32)


def pairs(folder: Path, denoisers: list[str]) -> Iterator[Item]:
    """Every slice of the real pairs at full dose, at low dose, and denoised by each model."""
    ready = [load.load_by_name(name, torch.device("cpu")) for name in denoisers]
    for low_path in sorted(folder.glob("mayo-2016/*/quarter")):
        with ExitStack() as stack:
            (series,) = pairing.open_pairs(stack, [(low_path.parent.name, low_path, low_path.parent / "full")])
            for low_index, full_index in series.pairs:
                low, full = series.low.read(low_index), series.full.read(full_index)
                valid, name = low.valid & full.valid, f"{series.name}/{low.position}"
                yield "full", name, partial(np.where, valid, full.hu, AIR)
                yield "low", name, partial(np.where, valid, low.hu, AIR)
                for given, model in zip(denoisers, ready, strict=True):
                    yield Path(given).stem, name, partial(_denoised, model, low, valid)


def _denoised(model: load.LoadedModel, low: Slice, valid: Mask) -> HU:
    return np.where(valid, pipeline.denoise_slice(model, low, 1.0), AIR)


def read(autoencoder: str, shared: str, patients: str, out: str, *denoisers: str) -> None:
    """One line a slice: its tokens, layer by layer. Goes on where an earlier call ended."""
    torch.set_num_threads(1)
    model = autoencoder_file.load_autoencoder(autoencoder)
    known = vocabulary_of(model)
    path = Path(out)
    if not path.exists():
        header = {"tokens": known.tokens, "whole": np.flatnonzero(known.readable).tolist()}
        path.write_text(json.dumps(header) + "\n")
    done = {(row["kind"], row["name"]) for row in map(json.loads, path.read_text().splitlines()[1:])}
    folder, synthetic = Path(shared) / "normal-dose", SLICES - len(judge.load_facts())
    items = (pairs(Path(shared) / "pairs", list(denoisers or ["fast"])), real(folder, False), shuffled(folder))
    with path.open("a") as file:
        for kind, name, make in chain(*items, digital(Path(patients), synthetic), real(folder, True)):
            if (kind, name) in done:
                continue
            layers = [layer.tokens.tolist() for layer in explain_slice(model, np.asarray(make(), np.float32)).layers]
            region = region_of(name) if kind in ("real", "pixels", "blocks") else ""
            file.write(json.dumps({"kind": kind, "name": name, "region": region, "layers": layers}) + "\n")
            file.flush()


def judged(found: str, out: str) -> None:
    """Writes the section of what ``read`` left."""
    header, *rows = map(json.loads, Path(found).read_text().splitlines())
    Path(out).write_text(words_figures.section({**header, "rows": rows}))


def draw(autoencoder: str, shared: str, out: str) -> None:
    """Layers 1 and 2 on the middle slices of the first two series of each region: none chosen by how well it does."""
    model = autoencoder_file.load_autoencoder(autoencoder)
    names = list(judge.load_facts())
    series: dict[str, list[str]] = {}
    for name in names:
        series.setdefault(judge.series_of(name), []).append(name)
    chosen = [found[len(found) // 2] for region in ("chest", "abdomen") for found in of_region(series, region)[:2]]
    figure = Figure(figsize=(13, 13), layout="constrained")
    places = dict(zip(chosen, figure.subplots(2, 2).flat, strict=True))
    for name, item in judge.slices(Path(shared) / "normal-dose"):
        if name in places:
            reading = words.read_words(model, {name: item.in_air}, words.SliceLocation(aspect=item.aspect))
            places[name].imshow(imread(BytesIO(overlay.words_of(reading, name, SOFT_TISSUE))))
            places[name].set_axis_off()
    figure.savefig(out, dpi=100)


def of_region(series: dict[str, list[str]], region: str) -> list[list[str]]:
    """The slices of each series of a region."""
    return [found for name, found in series.items() if region_of(name) == region]


if __name__ == "__main__":
    {"read": read, "judge": judged, "draw": draw}[sys.argv[1]](*sys.argv[2:])
