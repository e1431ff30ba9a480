"""The language-guided CT autoencoder of LEDA (Chen et al. 2024, section 2.1).

It encodes a slice as tokens, each of them a word of a frozen vocabulary, and decodes the tokens to an image again.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.batch import Pools
from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE
from lowdose.networks.organ_words import OrganWords
from lowdose.networks.pyramid_quantiser import PyramidQuantiser, Quantised
from lowdose.networks.vqgan import SIZES, NoiseInjection, PositionEmbedding, decoder, encoder
from lowdose.organ_classes import CLASSES

ACTIVE_POWER = 0.36
"""Mean square of SiLU(x) for a standard normal x: the power of features after normalisation and SiLU."""


class Autoencoder(nn.Module):
    """Autoencoder of LEDA: VQGAN encoder, quantiser with a pyramid of tokens, VQGAN decoder.

    Images (B, 1, H, W) are in the unit of ``hounsfield.OBJECTIVE``, latents are (B, C, H / stride, W / stride).
    Latents, embeddings and the commitment loss are in the units of ``codebook``, whatever the sharpness.

    Parameters
    ----------
    size : str
        Name of an architecture in ``vqgan.SIZES``.
    codebook : Tensor
        (V, C) embeddings of the words. They are frozen and not among the saved weights.
    layers : int
        Layers of the token pyramid.
    sharpness : float
        The semantic loss (LEDA, Eq. 1) uses a softmax of minus ``sharpness`` times the squared distance. The paper has
        1, but words of unit length lie so close together that this softmax hardly separates them, and a latent exactly
        on a word would count as wrong.
    learned : bool
        Train the codebook, as a plain VQGAN does; its tokens are then no words.

    Raises
    ------
    InvalidSetting
        For an unknown size, or a sharpness that is not positive.

    References
    ----------
    Z. Chen, T. Chen, C. Wang, Q. Gao, C. Niu, G. Wang, H. Shan, Low-dose CT Denoising with Language-engaged Dual-space
    Alignment, arXiv 2403.06128, 2024 (LEDA).
    P. Esser, R. Rombach, B. Ommer, Taming Transformers for High-Resolution Image Synthesis, CVPR 2021 (VQGAN).
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
        # Features of which organs are told apart: those before the positions of coarse layers become special.
        self._trunk = next(
            (number for number, part in enumerate(self.encoder) if isinstance(part, PositionEmbedding)), 0
        )
        self.organs = nn.Conv2d(plan.widths[-1], len(CLASSES), 1) if plan.organs else None
        self.organ_words = OrganWords(codebook.shape[1], layers) if plan.organs else None
        self.to_words = nn.Conv2d(plan.middle, codebook.shape[1], 1)
        self.from_words = nn.Conv2d(codebook.shape[1], plan.middle, 1)
        self.windows = plan.windows
        # Factor from the result of ``to_words`` to latents: the root mean square of a channel of the words.
        self.unit = float(codebook.float().square().mean().clamp(min=1e-12).sqrt()) if plan.unit_latents else 1.0
        _init_projections(self.to_words, self.from_words, codebook / self.unit)
        self._factor = sharpness**0.5
        self.quantiser = PyramidQuantiser(codebook * self._factor, layers, learned)

    @property
    def multiple(self) -> int:
        """Number that both sides of an image must be multiples of."""
        return self.stride

    @property
    def smallest(self) -> int:
        """Pixels a side of the smallest image in which every layer of the pyramid has a token."""
        return self.stride * self.quantiser.smallest

    @property
    def codebook(self) -> Tensor:
        """(V, C) embeddings of the words, in the units in which they were given."""
        embeddings: Tensor = self.quantiser.codebook / self._factor
        return embeddings

    def encode(self, image: Tensor) -> Tensor:
        """Encode images (B, 1, H, W) as latents (B, C, H / stride, W / stride), before quantisation.

        Raises InvalidSetting for sides that are no multiples of ``stride``: whether to pad or to crop is left to the
        caller.
        """
        if self.organs is not None:
            return self.encode_with_organs(image)[0]
        return self._project(self.encoder[self._trunk :](self._features(image)))

    def encode_with_organs(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """Encode images (B, 1, H, W) as latents, and tell the organs of each cell apart.

        Returns the latents of ``encode`` and logits (B, number of ``organ_classes.CLASSES``, H / stride, W / stride).
        Raises InvalidSetting for sides that are no multiples of ``stride``, and for a size that does not tell organs.
        """
        if self.organs is None or self.organ_words is None:
            raise InvalidSetting(f"autoencoder size '{self.size}' does not tell organs apart; take the size 'local'")
        features = self._features(image)
        logits: Tensor = self.organs(features)
        latents = self._project(self.encoder[self._trunk :](features))
        return self.organ_words(latents, logits), logits

    def _features(self, image: Tensor) -> Tensor:
        if image.ndim != 4 or image.shape[1] != 1 or any(side % self.stride for side in image.shape[2:]):
            raise InvalidSetting(
                f"an image of shape {tuple(image.shape)} for the autoencoder: it needs (B, 1, H, W) with sides "
                f"that are multiples of {self.stride}; mirror the image at its edges up to there"
            )
        result: Tensor = self.encoder[: self._trunk](torch.cat([image, *self.windowed(image)], 1))
        return result

    def _project(self, features: Tensor) -> Tensor:
        """Return the latents of the encoder's last features."""
        with torch.autocast(
            features.device.type, enabled=False
        ):  # losses compare latents: half precision is too coarse
            latents: Tensor = self.to_words(features.float()) * self.unit
        return latents

    def quantise(self, latents: Tensor, pools: Pools | None = None) -> Quantised:
        """Quantise latents (B, C, h, w) to tokens; see ``PyramidQuantiser``.

        Raises InvalidSetting for latents or candidate pools that do not fit.
        """
        scaled = self.quantiser(latents.float() * self._factor, pools)
        return Quantised(
            embedding=scaled.embedding / self._factor,
            indices=scaled.indices,
            averages=tuple(average / self._factor for average in scaled.averages),
            commitment=scaled.commitment / self.sharpness,
            semantic=scaled.semantic,
            codebook=None if scaled.codebook is None else scaled.codebook / self.sharpness,
        )

    def decode(self, embedding: Tensor, seed: int = 0) -> Tensor:
        """Decode embeddings (B, C, h, w) to images (B, 1, h * stride, w * stride).

        seed: determines the noise from which a decoder draws texture, where the size has one that does.
        """
        for part in self.decoder:
            if isinstance(part, NoiseInjection):
                part.seed = seed
        result: Tensor = self.decoder(self.from_words(embedding / self.unit)).float()
        return result

    def forward(self, image: Tensor, pools: Pools | None = None) -> tuple[Tensor, Quantised]:
        """Return the reconstruction of an image (B, 1, H, W) from its tokens, and the quantised latents."""
        quantised = self.quantise(self.encode(image), pools)
        return self.decode(quantised.embedding), quantised

    def windowed(self, image: Tensor) -> list[Tensor]:
        """Return the windows in which the encoder sees an image (B, 1, H, W) besides: each (B, 1, H, W), -1 to 1."""
        hu = OBJECTIVE.decode(image)
        return [((hu - centre) / half).clamp(-1.0, 1.0) for centre, half in self.windows]


def pad_to_stride(image: Tensor, stride: int) -> Tensor:
    """Pad an image (B, C, H, W) at its lower and right edges to multiples of ``stride``, by reflection."""
    down, right = (-side % stride for side in image.shape[-2:])
    return functional.pad(image, (0, right, 0, down), mode="reflect") if down or right else image


def reconstruct(autoencoder: Autoencoder, image: Tensor) -> tuple[Tensor, Quantised]:
    """Reconstruct an image (B, 1, H, W) of any size from its tokens.

    Returns the reconstruction, cropped to H x W and clipped to [0, 1], and the quantised latents of the padded image.
    """
    padded, quantised = autoencoder(pad_to_stride(image, autoencoder.stride))
    return padded[..., : image.shape[-2], : image.shape[-1]].clamp(0.0, 1.0), quantised


def _init_projections(to_words: nn.Conv2d, from_words: nn.Conv2d, codebook: Tensor) -> None:
    """Draw the initial weights so that latents have the length of words, and features unit variance.

    This holds for any vocabulary. Latents much longer than words would spend the training on shrinking, and words much
    shorter than features would have no effect on the decoder.
    """
    power = float(codebook.float().square().mean().clamp(min=1e-12))
    nn.init.normal_(to_words.weight, 0.0, (power / (ACTIVE_POWER * to_words.in_channels)) ** 0.5)
    nn.init.normal_(from_words.weight, 0.0, (power * from_words.in_channels) ** -0.5)
    for convolution in (to_words, from_words):
        if convolution.bias is not None:
            nn.init.zeros_(convolution.bias)
