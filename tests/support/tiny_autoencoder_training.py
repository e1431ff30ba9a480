"""The training of LEDA's autoencoder made small: a size of a few channels, a few known words, plain features."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lowdose.language.vocabulary import Vocabulary
from lowdose.networks import vqgan
from lowdose.networks.vqgan import Size
from lowdose.objectives.base import Objective

WORDS = ("liver", "kidney", "spleen", "fat", "bone", "lung", "heart", "muscle", "aorta", "air", "stomach", "pelvis")
CHANNELS = 6
TINY = Size(widths=(8, 8), middle=8, fold=4, groups=0, placed=True)


def vocabulary(seed: int = 0, words: tuple[str, ...] = WORDS) -> Vocabulary:
    """Of words that the shipped table knows, with directions of their own."""
    drawn = torch.randn(len(words), CHANNELS, generator=torch.Generator().manual_seed(seed))
    return Vocabulary(words, functional.normalize(drawn, dim=1), f"made for a test {seed}")


def with_a_tiny_size() -> Iterator[None]:
    """For a fixture: while it lasts, there is a size 'tiny'."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setitem(vqgan.SIZES, "tiny", TINY)
        yield


class Blurred(Objective):
    """Stands in for perception; counts how often it is asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked = 0
        self.register_buffer("kernel", torch.ones(1, 1, 4, 4) / 16)

    def terms(self, pred: Tensor, target: Tensor) -> Mapping[str, Tensor]:
        self.asked += 1
        return {"blurred": functional.conv2d(pred - target, self.kernel, stride=4).square().mean()}
