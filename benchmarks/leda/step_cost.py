"""Compare the time and memory of a training step with the LEDA loss with those of an MSE step of the same denoiser.

    python -m benchmarks.leda.step_cost [--network red_cnn --network esau_net] [--autoencoder FILE] [--device cuda]

A step is what training does with one batch: forward, backward to the denoiser, gradient clipping, AdamW. MSE and LEDA
steps take turns, so that other work on the machine slows both alike. The table gives medians, and of the ratios of
neighbouring steps the median, least and largest. Aim: at most 2.2 times the MSE step. On CUDA it also gives the peak
memory of each, in bf16 and float32. --direct adds LEDA written straight from the paper's equations: weights in
PyTorch's usual layout, and every position at every layer compared with the whole codebook. Its loss must be the same,
which is checked. Aim: 1.1 times its throughput. Without --autoencoder a fresh one of --size is taken, since the time
does not depend on what was learned.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from copy import deepcopy
from typing import NamedTuple

import torch
from experiments.common import markdown
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


class DirectLeda(Objective):
    """LEDA's loss (Eq. 3) computed as it is written, without sharing any work."""

    def __init__(self, autoencoder: Autoencoder) -> None:
        super().__init__()
        self.autoencoder = deepcopy(autoencoder).to(memory_format=torch.contiguous_format)

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        """Return the continuous and the discrete term."""
        latents, wanted = self.autoencoder.encode(pred), self.autoencoder.encode(target)
        return {
            "leda_continuous": functional.mse_loss(latents, wanted),
            "leda_discrete": functional.mse_loss(self.quantise(latents), self.quantise(wanted)),
        }

    def quantise(self, latents: Tensor) -> Tensor:
        """Return the last average of the pyramid; gradients pass straight through."""
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
        quantised = flat + (total / count.clamp(min=1) - flat).detach()
        return quantised.view(len(latents), height, width, -1).movedim(-1, 1)


class Step:
    """One training method with its optimiser; each call trains on the same batch once."""

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
        """Train once and return the loss."""
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
    """Cost of one kind of step.

    Attributes
    ----------
    seconds : list of float
        Time of every repeat.
    peak : float or None
        Peak memory, GB; None on a CPU.
    """

    seconds: list[float]
    peak: float | None


def measure_costs(steps: Mapping[str, Step], repeats: int, cuda: bool, clock: Callable[[], float]) -> dict[str, Cost]:
    """Time the steps in turns, after two of each that trigger late loading and tuning."""
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
            step()  # reads the loss, so the device has finished
            found[name].append(clock() - start)
            peaks[name] = torch.cuda.max_memory_allocated() / 1e9 if cuda else None
    return {name: Cost(seconds, peaks[name]) for name, seconds in found.items()}


def check_same_loss(steps: Mapping[str, Step]) -> None:
    """Raise SystemExit unless both forms of LEDA, of the same first weights, give the same loss."""
    ours, direct = steps["LEDA"](), steps["LEDA, direct"]()
    if abs(ours - direct) > 1e-4 * abs(ours):
        raise SystemExit(f"the two forms of LEDA differ: loss {ours:.7g} and {direct:.7g}")


def load_teacher(arguments: argparse.Namespace) -> Autoencoder:
    """Load the autoencoder, or make a fresh one."""
    if arguments.autoencoder:
        return autoencoder_file.load_autoencoder(arguments.autoencoder, arguments.device).autoencoder
    hyperparameters = AutoencoderHyperparameters()
    table = autoencoder_file.scaled_codebook(vocabulary.load_vocabulary(), hyperparameters.word_length)
    made = Autoencoder(arguments.size, table, hyperparameters.layers, hyperparameters.sharpness)
    channels_last(made)
    return made.to(arguments.device).eval().requires_grad_(False)


def compare_network(name: str, bf16: bool, autoencoder: Autoencoder, arguments: argparse.Namespace) -> list[list[str]]:
    """Return the rows of the table for one network and precision."""
    random = torch.Generator().manual_seed(0)
    full = torch.rand(arguments.batch, 1, arguments.side, arguments.side, generator=random) * 400 - 200
    noise = 30 * torch.randn(full.shape, generator=random)
    batch = PairedBatch((full + noise).to(arguments.device), full.to(arguments.device))
    objectives: dict[str, Objective] = {"MSE": MSE(), "LEDA": MSE() + LAMBDA * Leda(autoencoder)}
    if arguments.direct:
        objectives["LEDA, direct"] = MSE() + LAMBDA * DirectLeda(autoencoder)
    chosen = parse_denoiser(name)
    steps = {label: Step(chosen, terms, batch, bf16, "direct" in label) for label, terms in objectives.items()}
    if arguments.direct and not bf16:
        check_same_loss(steps)
    clock = time.process_time if arguments.processor else time.perf_counter
    found = measure_costs(steps, arguments.repeats, arguments.device == "cuda", clock)
    rows = []
    for label, cost in found.items():
        ratios = [own / base for own, base in zip(cost.seconds, found["MSE"].seconds, strict=True)]
        row = [name, "bf16" if bf16 else "float32", label, f"{1000 * statistics.median(cost.seconds):.1f}"]
        row.append(f"{statistics.median(ratios):.2f} ({min(ratios):.2f}–{max(ratios):.2f})")
        rows.append([*row, "–" if cost.peak is None else f"{cost.peak:.2f}"])
    return rows


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--network", action="append", metavar="NAME[:SETTING=NUMBER,...]")
    parser.add_argument("--autoencoder", help="a file or a shipped name")
    parser.add_argument("--size", default="small", help="size of a fresh autoencoder")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu", choices=["cpu", "cuda"])
    parser.add_argument("--precision", nargs="+", default=["bf16", "float32"], choices=["bf16", "float32"])
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--processor", action="store_true", help="processor seconds; for a busy CPU, with one thread")
    parser.add_argument("--direct", action="store_true")
    arguments = parser.parse_args()
    autoencoder = load_teacher(arguments)
    where = torch.cuda.get_device_name() if arguments.device == "cuda" else f"{torch.get_num_threads()} CPU threads"
    print(
        f"{where}; autoencoder '{autoencoder.size}'; {arguments.batch} slice(s) of {arguments.side}; "
        f"{arguments.repeats} repeats\n"
    )
    rows = []
    for name in arguments.network or ["red_cnn", "esau_net"]:
        for precision in arguments.precision:
            rows += compare_network(name, precision == "bf16", autoencoder, arguments)
    heads = ["denoiser", "precision", "step", "ms", "times the MSE step (least–most)", "peak (GB)"]
    print(markdown.table(heads, rows))


if __name__ == "__main__":
    main()
