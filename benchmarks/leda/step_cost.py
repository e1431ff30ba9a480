"""What LEDA costs: its training step beside the MSE step of the same denoiser, on full slices.

    python benchmarks/leda/step_cost.py [--network red_cnn --network esau_net] [--autoencoder FILE] [--device cuda]

A step is what a run does with one batch: the method's forward, backward to the denoiser, clipping, AdamW. MSE and LEDA
steps take turns in one run, since other work on the machine slows both; medians, and the median, least and largest of
the ratios of neighbouring steps. Aim: at most 2.2 times the MSE step. CUDA: peak memory of each besides, in bf16 and
float32. --direct adds LEDA as one would write it down: weights in PyTorch's usual layout, and every position at every
layer against the whole matrix of distances; the same loss, which is checked. Aim: 1.1 times its throughput.
Without --autoencoder a fresh one of --size is taken: the time does not depend on what it learned.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from typing import NamedTuple

import cells
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import AdamW

from lowdose.batch import PairedBatch
from lowdose.language import autoencoder_file, vocabulary
from lowdose.methods.supervised import Supervised
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.denoiser import Denoiser, channels_last
from lowdose.networks.pyramid_quantiser import positions
from lowdose.objectives.base import Objective
from lowdose.objectives.leda import Leda
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import DenoiserChoice, parse_denoiser
from lowdose.training.leda_autoencoder.recipe import AutoencoderHyperparameters

LAMBDA = 0.5


class Direct(Objective):
    """Eq. 3 as it is written: nothing shared, nothing left out."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.autoencoder = deepcopy(autoencoder).to(memory_format=torch.contiguous_format)

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        latents, wanted = self.autoencoder.encode(pred), self.autoencoder.encode(target)
        return {
            "leda_continuous": functional.mse_loss(latents, wanted),
            "leda_discrete": functional.mse_loss(self.read(latents), self.read(wanted)),
        }

    def read(self, latents: Tensor) -> Tensor:
        """The last average of the pyramid; gradients pass straight through."""
        table, (height, width) = self.autoencoder.codebook, latents.shape[2:]
        flat = latents.movedim(1, -1).flatten(0, 2)
        residual, total, count = flat, torch.zeros_like(flat), torch.zeros_like(flat[:, :1])
        for part in positions(len(self.autoencoder.quantiser.parts)):
            mask = torch.zeros(height, width, device=flat.device)
            mask[part, part] = 1
            chosen = mask.flatten().repeat(len(latents))[:, None]
            token = table[torch.cdist(residual, table).argmin(1)]
            residual = residual + chosen * (flat - token)
            total, count = total + chosen * token, count + chosen
        read = flat + (total / count.clamp(min=1) - flat).detach()
        return read.view(len(latents), height, width, -1).movedim(-1, 1)


class Step:
    """One method with its optimiser; called, it trains on the batch once."""

    def __init__(
        self, chosen: DenoiserChoice, objective: Objective, batch: PairedBatch, bf16: bool, plain: bool
    ) -> None:
        torch.manual_seed(0)
        denoiser = Denoiser(chosen.network, chosen.scale)
        if not plain:
            channels_last(denoiser)
        self.method = Supervised(denoiser, objective).to(batch.low.device).train()
        self.parameters = [p for p in denoiser.parameters() if p.requires_grad]
        self.optimiser = AdamW(self.parameters, lr=1e-4, betas=(0.9, 0.99), weight_decay=1e-9)
        self.batch, self.bf16 = batch, bf16

    def __call__(self) -> float:
        """The loss."""
        kind = self.batch.low.device.type
        with torch.autocast(kind, torch.bfloat16) if self.bf16 else nullcontext():
            terms = next(iter(self.method.updates(self.batch))).terms
        self.optimiser.zero_grad()
        total = torch.stack(list(terms.values())).sum()
        torch.autograd.backward(total, inputs=self.parameters)
        nn.utils.clip_grad_norm_(self.parameters, 1.0)
        self.optimiser.step()
        return float(total.detach())


class Cost(NamedTuple):
    """Seconds of every repeat, and the peak in GB (None on a CPU)."""

    seconds: list[float]
    peak: float | None


def costs(steps: Mapping[str, Step], repeats: int, cuda: bool, clock: Callable[[], float]) -> dict[str, Cost]:
    """Steps in turns, after two of each that load and choose what is loaded and chosen late."""
    for step in steps.values():
        step()
        step()
    found: dict[str, list[float]] = {name: [] for name in steps}
    peaks: dict[str, float | None] = dict.fromkeys(steps)
    for _ in range(repeats):
        for name, step in steps.items():
            if cuda:
                torch.cuda.synchronize()
                torch.cuda.reset_peak_memory_stats()
            start = clock()
            step()  # its loss is read, so the device has finished
            found[name].append(clock() - start)
            peaks[name] = torch.cuda.max_memory_allocated() / 1e9 if cuda else None
    return {name: Cost(seconds, peaks[name]) for name, seconds in found.items()}


def check_same(steps: Mapping[str, Step]) -> None:
    """Both forms of LEDA start from the same weights, so their first losses must agree."""
    ours, direct = steps["LEDA"](), steps["LEDA, direct"]()
    if abs(ours - direct) > 1e-4 * abs(ours):
        raise SystemExit(f"the two forms of LEDA differ: loss {ours:.7g} and {direct:.7g}")


def teacher(given: argparse.Namespace) -> Autoencoder:
    if given.autoencoder:
        return autoencoder_file.load_autoencoder(given.autoencoder, given.device).autoencoder
    hyperparameters = AutoencoderHyperparameters()
    table = autoencoder_file.scaled_codebook(vocabulary.load_vocabulary(), hyperparameters.word_length)
    made = Autoencoder(given.size, table, hyperparameters.layers, hyperparameters.sharpness)
    channels_last(made)
    return made.to(given.device).eval().requires_grad_(False)


def compare(name: str, bf16: bool, autoencoder: Autoencoder, given: argparse.Namespace) -> list[list[str]]:
    """Rows of the table for one network and precision."""
    random = torch.Generator().manual_seed(0)
    full = torch.rand(given.batch, 1, given.side, given.side, generator=random) * 400 - 200
    noise = 30 * torch.randn(full.shape, generator=random)
    batch = PairedBatch((full + noise).to(given.device), full.to(given.device))
    objectives: dict[str, Objective] = {"MSE": MSE(), "LEDA": MSE() + LAMBDA * Leda(autoencoder)}
    if given.direct:
        objectives["LEDA, direct"] = MSE() + LAMBDA * Direct(autoencoder)
    chosen = parse_denoiser(name)
    steps = {label: Step(chosen, terms, batch, bf16, "direct" in label) for label, terms in objectives.items()}
    if given.direct and not bf16:
        check_same(steps)
    clock = time.process_time if given.processor else time.perf_counter
    found = costs(steps, given.repeats, given.device == "cuda", clock)
    rows = []
    for label, cost in found.items():
        ratios = [own / base for own, base in zip(cost.seconds, found["MSE"].seconds, strict=True)]
        row = [name, "bf16" if bf16 else "float32", label, f"{1000 * statistics.median(cost.seconds):.1f}"]
        row.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")
        rows.append([*row, "–" if cost.peak is None else f"{cost.peak:.2f}"])
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", metavar="NAME[:SETTING=NUMBER,...]")
    parser.add_argument("--autoencoder", help="a file or a shipped name")
    parser.add_argument("--size", default="small", help="of a fresh autoencoder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", nargs="+", default=["bf16", "float32"], choices=["bf16", "float32"])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processor", action="store_true", help="processor seconds; for a busy CPU, with one thread")
    parser.add_argument("--direct", action="store_true")
    given = parser.parse_args()
    autoencoder = teacher(given)
    where = torch.cuda.get_device_name() if given.device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(
        f"{where}; autoencoder '{autoencoder.size}'; {given.batch} slice(s) of {given.side}; {given.repeats} repeats\n"
    )
    rows = []
    for name in given.network or ["red_cnn", "esau_net"]:
        for precision in given.precision:
            rows += compare(name, precision == "bf16", autoencoder, given)
    heads = ["denoiser", "precision", "step", "ms", "times the MSE step (least–most)", "peak (GB)"]
    print(cells.table(heads, rows))


if __name__ == "__main__":
    main()
