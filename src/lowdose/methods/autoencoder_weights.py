"""Weights of the loss terms of LEDA's autoencoder, and the steps at which its parts begin."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Weights:
    """Weights of the loss terms of Eq. 2, and the steps at which its parts begin.

    Attributes
    ----------
    semantic : float
        alpha of Eq. 2.
    commitment : float
        beta of Eq. 2.
    adversarial : float
        gamma of Eq. 2. The paper prints its third weight as lambda; as gamma it fits the equation.
    perceptual : float
        eta of Eq. 2.
    adversarial_start : int
        Step from which the discriminator is used. The paper gives none.
    soft_steps : int
        Steps of plain autoencoding, without quantisation, at the beginning; not part of the paper. The latents are then
        given the moments of the codebook's embeddings (``latent_spread.match_moments``). If training began with
        quantisation, all positions would soon share one token: a decoder that has learned nothing passes no useful
        gradient to the encoder, so that the commitment term alone decides.
    image : float
        Factor on the squared error of the reconstruction.
    window : float
        Weight of the squared error in the windows that the encoder sees (``Autoencoder.windowed``).
    texture : float
        Weight of ``LocalTexture`` between reconstruction and image.
    invariance : float
        Weight of ``noise_realisation_ratio`` beyond ``margin``, of latents and of token embeddings; for batches with
        realisations of noise.
    margin, token_margin : float
        Ratio of the latents and of the token embeddings that is left alone.
    entropy : float
        Weight of ``unused_entropy`` of the latents in the body, at ``autoencoder.ENTROPY_SHARPNESS`` times
        the sharpness of Eq. 1.
    organs : float
        Weight of the cross-entropy of the organ classes of each cell. Only 1 position in 14 has a word to learn: too
        few for features that tell organs apart.
    balanced : bool
        Whether omega balances the semantic term with the rest, as in Eq. 2. Otherwise alpha is its weight, so that
        meaning gains as reconstruction settles, and beta is for latents in units of the words' variance.
    """

    semantic: float = 0.3
    commitment: float = 0.3
    adversarial: float = 0.1
    perceptual: float = 0.1
    adversarial_start: int = 0
    soft_steps: int = 0
    image: float = 1.0
    window: float = 0.0
    texture: float = 0.0
    invariance: float = 0.0
    margin: float = 0.4
    token_margin: float = 0.6
    entropy: float = 0.0
    organs: float = 0.0
    balanced: bool = True
