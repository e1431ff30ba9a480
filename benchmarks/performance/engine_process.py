"""Denoise a slice on one engine whenever a line arrives on standard input; started by ``engines``.

    python -m benchmarks.performance.engine_process NETWORK ENGINE [--threads N] [--device cuda] [--batch N]

Each engine runs in a process of its own, since lowdose configures the memory allocator otherwise than PyTorch does, and
the processes take turns, so that other work on the machine slows all alike. Writes the denoised reference slice as
float32, then a line of text for each turn: its seconds by the clock on the wall and of the processor.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings

import numpy as np
import torch

from benchmarks.performance import timed_networks
from lowdose import memory
from lowdose.infer.engines import accuracy_check
from lowdose.infer.engines.accelerated import EngineDenoiser
from lowdose.infer.engines.select_engine import CPU, GPU
from lowdose.networks.denoiser import Denoiser, channels_last

PLAIN_PYTORCH = ("eager", "eager channels_last", "compile")
"""PyTorch without an engine of lowdose: eager; with weights and images in channels-last layout; torch.compile."""


def plain_pytorch(denoiser: Denoiser, how: str) -> Denoiser:
    """Prepare PyTorch without an engine of lowdose: eager, channels last, or compiled."""
    if how == "eager channels_last":
        channels_last(denoiser)
    elif how == "compile":
        denoiser.network.compile(options={"freezing": True})
    return denoiser


def main() -> None:
    """Load the network, then denoise on demand."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("network")
    parser.add_argument("engine", help=f"{', '.join(PLAIN_PYTORCH)}, or an engine and a precision: winograd exact")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=1)
    arguments = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(arguments.threads)
    denoiser = timed_networks.load_denoiser(arguments.network).to(arguments.device)
    model: Denoiser | EngineDenoiser
    if arguments.engine in PLAIN_PYTORCH:
        model = plain_pytorch(denoiser, arguments.engine)
    else:
        memory.keep_for_reuse()
        engine, precision = arguments.engine.split()
        model = EngineDenoiser(denoiser, {**CPU, **GPU}[engine], precision)
    reference = accuracy_check.reference_slice().to(arguments.device)
    batch = reference.repeat(arguments.batch, 1, 2, 2)
    out = sys.stdout.buffer
    out.write(model.denoise(reference).cpu().numpy().astype(np.float32).tobytes())
    out.flush()
    model.denoise(batch)
    for _ in sys.stdin:
        start, spent = time.perf_counter(), time.process_time()
        model.denoise(batch).cpu()
        out.write(f"{time.perf_counter() - start} {time.process_time() - spent}\n".encode())
        out.flush()


if __name__ == "__main__":
    main()
