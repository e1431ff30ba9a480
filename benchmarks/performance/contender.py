"""One denoiser on one engine in a process of its own, which denoises a slice whenever it is told to.

Started by engines.py: contenders take turns, so that what else the machine does meets all alike, and each has its own
memory allocator, for ours is set otherwise than PyTorch's usual one.
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings

import numpy as np
import timed
import torch

from lowdose import memory
from lowdose.infer.engines import accuracy_check
from lowdose.infer.engines.accelerated import EngineDenoiser
from lowdose.infer.engines.select_engine import CPU, GPU
from lowdose.networks.denoiser import Denoiser, channels_last

PLAIN = ("eager", "eager channels_last", "compile")
"""PyTorch as it comes: as it is written; with weights and images laid out channels last; through torch.compile."""


def plain(denoiser: Denoiser, how: str) -> Denoiser:
    if how == "eager channels_last":
        channels_last(denoiser)
    elif how == "compile":
        denoiser.network.compile(options={"freezing": True})
    return denoiser


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("network")
    parser.add_argument("engine", help=f"{', '.join(PLAIN)}, or an engine and a precision: winograd exact")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--batch", type=int, default=1)
    asked = parser.parse_args()
    warnings.simplefilter("ignore")
    torch.set_num_threads(asked.threads)
    denoiser = timed.denoiser(asked.network).to(asked.device)
    model: Denoiser | EngineDenoiser
    if asked.engine in PLAIN:
        model = plain(denoiser, asked.engine)
    else:
        memory.keep_for_reuse()
        engine, precision = asked.engine.split()
        model = EngineDenoiser(denoiser, {**CPU, **GPU}[engine], precision)
    small = accuracy_check.reference_slice().to(asked.device)
    whole = small.repeat(asked.batch, 1, 2, 2)
    out = sys.stdout.buffer
    out.write(model.denoise(small).cpu().numpy().astype(np.float32).tobytes())
    out.flush()
    model.denoise(whole)
    for _ in sys.stdin:
        start = time.perf_counter()
        model.denoise(whole).cpu()
        out.write(f"{time.perf_counter() - start}\n".encode())
        out.flush()


if __name__ == "__main__":
    main()
