"""Choose the strength of each classical filter that gives the best PSNR on one patient's pairs, in [-160, 240] HU.

    python -m experiments.first_models.tune_classical_filters PAIRS_FOLDER

The chosen strengths are set in src/lowdose/models/classical.py. Give the training patient only, never the test patient.
"""

from __future__ import annotations

import argparse
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from experiments.common.pairs import open_pair_folders
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.infer.pipeline import denoise_slice
from lowdose.metrics.fidelity import psnr
from lowdose.models.classical import CLASSICAL
from lowdose.models.load import LoadedModel

STRENGTHS = {
    "nlm": (0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0),
    "tv": (0.3, 0.4, 0.5, 0.6, 0.7, 0.85, 1.0, 1.2),
    "gaussian": (0.5, 0.6, 0.7, 0.8, 0.9, 1.0, 1.2),
}


def main() -> None:
    """Print the PSNR at every strength of every filter."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pairs", type=Path, help="folder with the pairs of one series")
    pairs_folder = parser.parse_args().pairs
    with ExitStack() as stack:
        (case,) = open_pair_folders(stack, [pairs_folder])
        pairs = [(case.low.read(i), SOFT_TISSUE.apply(case.full.read(j).hu)) for i, j in case.pairs]
        for name, strengths in STRENGTHS.items():
            scores = {}
            for strength in strengths:
                model = LoadedModel(name, "", replace(CLASSICAL[name], strength=strength), None, torch.device("cpu"))
                values = [psnr(SOFT_TISSUE.apply(denoise_slice(model, low, 1.0)), full, 1.0) for low, full in pairs]
                scores[strength] = float(np.mean(values))
            best = max(scores, key=scores.__getitem__)
            listed = "  ".join(f"{s}: {v:.3f}" for s, v in scores.items())
            print(f"{name}: best {best} ({scores[best]:.3f} dB)   {listed}", flush=True)


if __name__ == "__main__":
    main()
