"""The language-guided CT autoencoder of LEDA (Chen et al. 2024, section 2.1): slices to words and back."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import InvalidSetting
from lowdose.networks.pyramid_quantiser import PyramidQuantiser, Quantised
from lowdose.networks.semantic_loss import Pools
from lowdose.networks.vqgan import SIZES, decoder, encoder

ACTIVE_POWER = 0.36
"""Mean square of SiLU of a normal variable: what normalised features hand on."""


class Autoencoder(nn.Module):
    """Encoder, pyramid of tokens, decoder. Images are (B, 1, H, W) in the unit of ``hounsfield.OBJECTIVE``.

    size: of ``vqgan.SIZES``. codebook: (V, C) embeddings of the words, frozen and not among the weights; ``learned``
    makes it a plain VQGAN's, which is trained and has no words. sharpness: Eq. 1 is a softmax of minus ``sharpness``
    times the squared distance. The paper's is 1; words of unit length lie so near together that there the softmax
    hardly tells them apart, and a latent exactly on a word would count as wrong.
    Latents, embeddings and the commitment are in the units of ``codebook``, whatever the sharpness.
    Raises InvalidSetting for an unknown size or a sharpness that is not positive.
    """

    def __init__(
        self, size: str, codebook: Tensor, layers: int = 3, sharpness: float = 1.0, learned: bool = False
    ) -> None:
        super().__init__()
        if size not in SIZES:
            raise InvalidSetting(f"autoencoder size '{size}': choose one of {', '.join(SIZES)}")
        if not 0 < sharpness < float("inf"):
            raise InvalidSetting(f"sharpness={sharpness:g}: must be a positive number")
        plan = SIZES[size]
        self.size, self.sharpness, self.stride = size, sharpness, plan.stride
        self.encoder, self.decoder = encoder(plan, layers), decoder(plan)
        self.to_words = nn.Conv2d(plan.middle, codebook.shape[1], 1)
        self.from_words = nn.Conv2d(codebook.shape[1], plan.middle, 1)
        _fit(self.to_words, self.from_words, codebook)
        self._factor = sharpness**0.5
        self.quantiser = PyramidQuantiser(codebook * self._factor, layers, learned)

    @property
    def multiple(self) -> int:
        """What both sides of an image must be multiples of."""
        return self.stride

    @property
    def smallest(self) -> int:
        """Pixels a side of the smallest image in which every layer of the pyramid has a token."""
        return self.stride * self.quantiser.smallest

    @property
    def codebook(self) -> Tensor:
        """(V, C) the words, in their own units."""
        words: Tensor = self.quantiser.codebook / self._factor
        return words

    def encode(self, image: Tensor) -> Tensor:
        """(B, 1, H, W) -> latents (B, C, H / stride, W / stride), before they are quantised.

        Raises InvalidSetting for sides that are no multiples of ``stride``: cutting an image is the caller's to decide.
        """
        if image.ndim != 4 or image.shape[1] != 1 or any(side % self.stride for side in image.shape[2:]):
            raise InvalidSetting(
                f"an image of shape {tuple(image.shape)} for the autoencoder: it needs (B, 1, H, W) with sides "
                f"that are multiples of {self.stride}; mirror the image at its edges up to there"
            )
        seen = self.encoder(image)
        with torch.autocast(image.device.type, enabled=False):  # losses compare latents: half precision is too coarse
            latents: Tensor = self.to_words(seen.float())
        return latents

    def quantise(self, latents: Tensor, pools: Pools | None = None) -> Quantised:
        """Latents (B, C, h, w) as tokens; see ``PyramidQuantiser``. Raises InvalidSetting if they do not fit."""
        found = self.quantiser(latents.float() * self._factor, pools)
        return Quantised(
            embedding=found.embedding / self._factor,
            indices=found.indices,
            averages=tuple(average / self._factor for average in found.averages),
            commitment=found.commitment / self.sharpness,
            semantic=found.semantic,
            codebook=None if found.codebook is None else found.codebook / self.sharpness,
        )

    def decode(self, embedding: Tensor) -> Tensor:
        """Embeddings (B, C, h, w) -> image (B, 1, h stride, w stride)."""
        result: Tensor = self.decoder(self.from_words(embedding)).float()
        return result

    def forward(self, image: Tensor, pools: Pools | None = None) -> tuple[Tensor, Quantised]:
        """(the image as its words tell it, the words)."""
        found = self.quantise(self.encode(image), pools)
        return self.decode(found.embedding), found


def pad_to_stride(image: Tensor, stride: int) -> Tensor:
    """(B, C, H, W) mirrored at the far edges up to sides that are multiples of ``stride``."""
    down, right = (-side % stride for side in image.shape[-2:])
    return functional.pad(image, (0, right, 0, down), mode="reflect") if down or right else image


def reconstruct(autoencoder: Autoencoder, image: Tensor) -> tuple[Tensor, Quantised]:
    """(an image (B, 1, H, W) of any size as its words tell it, within [0, 1]; the words of the mirrored image)."""
    made, found = autoencoder(pad_to_stride(image, autoencoder.stride))
    return made[..., : image.shape[-2], : image.shape[-1]].clamp(0.0, 1.0), found


def _fit(to_words: nn.Conv2d, from_words: nn.Conv2d, codebook: Tensor) -> None:
    """Start with latents of the words' size and features of size 1, whatever the vocabulary: a latent many times as
    long as a word would spend the training on shrinking, and a word much shorter than a feature on being heard.
    """
    power = float(codebook.float().square().mean().clamp(min=1e-12))
    nn.init.normal_(to_words.weight, 0.0, (power / (ACTIVE_POWER * to_words.in_channels)) ** 0.5)
    nn.init.normal_(from_words.weight, 0.0, (power * from_words.in_channels) ** -0.5)
    for convolution in (to_words, from_words):
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
