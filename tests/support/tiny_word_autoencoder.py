"""A language-guided autoencoder that is made in no time: random weights, real pyramid of tokens."""

from __future__ import annotations

import hashlib
from pathlib import Path

import torch
from torch import Tensor, nn

from lowdose.batch import Pools
from lowdose.language import autoencoder_file
from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
from lowdose.language.vocabulary import Vocabulary
from lowdose.language.word_limits import WordLimits
from lowdose.networks.autoencoder import Autoencoder
from lowdose.networks.pyramid_quantiser import PyramidQuantiser, Quantised

CHANNELS, WORDS = 6, 40
EVERYTHING = WordLimits(certainty=0.0, drift_floor=0.0, drift_times=1.0)
"""Limits for weights that never were trained, which answer faintly, and everywhere."""


class Tiny(nn.Module):
    """What ``Autoencoder`` promises, at a stride of 4 and with 2 layers, so from 16 pixels a side.

    Dropout and batch normalisation are there to show whether it is ever in training mode.
    """

    def __init__(self, seed: int = 0) -> None:
        super().__init__()
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.encoder = nn.Sequential(
                nn.Conv2d(1, 8, 4, stride=4),
                nn.BatchNorm2d(8),
                nn.Dropout(0.5),
                nn.SiLU(),
                nn.Conv2d(8, CHANNELS, 3, 1, 1),
            )
            self.quantiser = PyramidQuantiser(torch.randn(WORDS, CHANNELS) * 0.1, layers=2)
        self.stride = 4

    @property
    def smallest(self) -> int:
        return self.stride * self.quantiser.smallest

    def encode(self, image: Tensor) -> Tensor:
        assert not any(side % self.stride for side in image.shape[2:])
        return self.encoder(image)

    def quantise(self, latents: Tensor, pools: Pools | None = None) -> Quantised:
        return self.quantiser(latents, pools)


def loaded(seed: int = 0) -> LanguageGuidedAutoencoder:
    """As ``autoencoder_file.load_autoencoder`` would give it."""
    tiny = Tiny(seed)
    return LanguageGuidedAutoencoder(f"tiny-{seed}", hash_of(tiny), tiny, None, {})  # type: ignore[arg-type]


def write(path: Path, layers: int = 2, limits: WordLimits | None = None) -> Path:
    """A real, untrained one in a file, with words of its own; images from 64 pixels a side."""
    torch.manual_seed(5)
    table = nn.functional.normalize(torch.randn(WORDS, CHANNELS), dim=1)
    words = Vocabulary(tuple(f"word{n}" for n in range(WORDS)), table, "made for a test")
    autoencoder = Autoencoder("small", words.embeddings, layers)
    path.write_bytes(autoencoder_file.serialise_autoencoder(autoencoder, words, 0.0, {}, limits=limits))
    return path


def hash_of(module: nn.Module) -> str:
    """Of every weight and every buffer, kept in files or not."""
    found = hashlib.sha256()
    for name, value in [*module.named_parameters(), *module.named_buffers()]:
        found.update(name.encode() + value.detach().cpu().contiguous().numpy().tobytes())
    return found.hexdigest()
