"""Average the weights of two denoisers, one of which was trained on from the other.

    python -m experiments.zoo.average_weights FIRST SECOND SHARE OUT

FIRST, SECOND: names or files of denoisers of one network. SHARE: of SECOND, 0 to 1. OUT: file to write, with the
training range of FIRST. What a short training on other settings gains is kept for the most part, and what it loses is
won back for the most part (Wortsman et al., Robust fine-tuning of zero-shot models, CVPR 2022).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from lowdose.errors import InvalidSetting, LowDoseError
from lowdose.models.checkpoint import load_denoiser, save_denoiser


def main() -> None:
    """Write the average."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("first")
    parser.add_argument("second")
    parser.add_argument("share", type=float)
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    try:
        average_weights(arguments.first, arguments.second, arguments.share, arguments.out)
    except LowDoseError as error:
        parser.error(str(error))


def average_weights(first: str, second: str, share: float, out: Path) -> None:
    """Write (1 - share) of the weights of ``first`` plus ``share`` of those of ``second``.

    Raises InvalidSetting unless the share is 0 to 1 and both are the same network.
    """
    if not 0 <= share <= 1:
        raise InvalidSetting(f"share {share:g}: must be from 0 to 1")
    a, b = load_denoiser(first), load_denoiser(second)
    if a.denoiser.spec != b.denoiser.spec:
        raise InvalidSetting(f"{first} is {a.denoiser.spec}, {second} {b.denoiser.spec}: give two of one network")
    theirs = b.denoiser.network.state_dict()
    mixed = {
        name: torch.lerp(value.float(), theirs[name].float(), share) if value.is_floating_point() else value
        for name, value in a.denoiser.network.state_dict().items()
    }
    a.denoiser.network.load_state_dict(mixed)
    averaged = {"average": {"of": [a.sha256, b.sha256], "share": share}}
    save_denoiser(out, a.denoiser, a.domain, {**b.training, **averaged})


if __name__ == "__main__":
    main()
