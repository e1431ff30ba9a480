"""Hyperparameters of adversarial recipes with a patch critic, and the methods that they make."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.methods.wasserstein_gan import WassersteinGAN
from lowdose.networks.critic import patch_critic
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.base import Objective
from lowdose.objectives.perceptual import perceptual_with
from lowdose.training.hyperparameters import LARGE, Limits
from lowdose.training.recipe import DenoiserHyperparameters, check_patch


@dataclass(frozen=True)
class CriticHyperparameters(DenoiserHyperparameters):
    """Hyperparameters of a training against a patch critic.

    Attributes
    ----------
    critic_width : int
        Channels of the critic's first layer, see ``networks.critic``.
    """

    critic_width: int = 64

    LIMITS: ClassVar[Limits] = {**DenoiserHyperparameters.LIMITS, "critic_width": (1, 1024)}


@dataclass(frozen=True)
class WassersteinHyperparameters(CriticHyperparameters):
    """Hyperparameters of WGAN-GP.

    Attributes
    ----------
    penalty : float
        Weight of the critic's gradient penalty.
    critic_turns : int
        Steps, each with a turn of the critic, for one turn of the denoiser.
    """

    penalty: float = 10.0
    critic_turns: int = 4

    LIMITS: ClassVar[Limits] = {**CriticHyperparameters.LIMITS, "penalty": (0, LARGE), "critic_turns": (1, 1024)}


@dataclass(frozen=True)
class PerceptualWassersteinHyperparameters(WassersteinHyperparameters):
    """Hyperparameters of WGAN-GP with the perceptual loss.

    Attributes
    ----------
    perceptual_weight : float
        Weight of the perceptual loss; 0 = not computed. The features' differences are relative here
        (``objectives.perceptual``), so that the papers' 0.1 means something else with every network: with the maps of
        the anatomy network a trained critic pulls 42 to 45 times as hard as 0.1 of this loss, and both pull equally
        with the default (medians over 9 validation slices).
    """

    perceptual_weight: float = 4.5

    LIMITS: ClassVar[Limits] = {**WassersteinHyperparameters.LIMITS, "perceptual_weight": (0, LARGE)}


def wasserstein(
    denoiser: Denoiser, h: WassersteinHyperparameters, content: Objective | None, unit: Scale = OBJECTIVE
) -> WassersteinGAN:
    """Make WGAN-GP with ``content``, in ``unit``; raises InvalidSetting for patches that are too small for it."""
    if content is not None:
        check_patch(h.patch, content)
    critic = patch_critic(h.patch, h.critic_width)
    return WassersteinGAN(denoiser, critic, content, h.penalty, h.critic_turns, unit)


def perceptual_wasserstein(
    denoiser: Denoiser, h: PerceptualWassersteinHyperparameters, teachers: Mapping[str, str]
) -> WassersteinGAN:
    """Make WGAN-GP with the perceptual loss, by the features that ``teachers`` names; not loaded for the weight 0."""
    weight = h.perceptual_weight
    return wasserstein(denoiser, h, weight * perceptual_with(teachers["features"]) if weight > 0 else None)
