"""Discriminators by name: what ``--adversary`` puts in place of a recipe's own, or beside a loss that has none."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import OBJECTIVE, Scale
from lowdose.methods.anatomy_gan import AnatomyAwareGAN
from lowdose.methods.base import Method
from lowdose.methods.critic_gan import CriticGAN
from lowdose.methods.dual_domain_gan import UNIT, DualDomainGAN
from lowdose.methods.least_squares_gan import LeastSquaresGAN
from lowdose.methods.supervised import Supervised
from lowdose.networks.anatomy_discriminator import AnatomyDiscriminator
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.features.registry import load_identified
from lowdose.networks.features.semantic import map_channels
from lowdose.objectives.base import Objective

ADVERSARIES = ("anatomy", "patch")
"""'anatomy': ALDEN's discriminator, which attends to the anatomy of the full-dose image; 'patch': the same without."""
BESIDE_A_LOSS = 3e-4
"""Weight beside a loss that has no discriminator, as in ALDEN."""


@dataclass(frozen=True)
class Adversary:
    """A discriminator, and how hard it pulls.

    Attributes
    ----------
    name : str
        One of ``ADVERSARIES``.
    weight : float or None
        Weight of its judgement; None = that of the recipe's own discriminator, or ``BESIDE_A_LOSS``.
    width : int
        Channels of its first stage.
    learning_rate : float
        Its largest learning rate.
    """

    name: str
    weight: float | None = None
    width: int = 64
    learning_rate: float = 1e-4


def parse_adversary(text: str) -> Adversary:
    """Parse 'NAME', or 'NAME:setting=number,...' as in 'anatomy:weight=0.01,width=16'.

    Raises InvalidSetting, which says what can be written, for an unknown name or setting, and for a bad number.
    """
    name, colon, assignments = text.partition(":")
    if name not in ADVERSARIES:
        raise InvalidSetting(f"--adversary {text}: no discriminator '{name}'; there are {', '.join(ADVERSARIES)}")
    settings: dict[str, Any] = {}
    for part in assignments.split(",") if colon else []:
        key, _, value = part.partition("=")
        kind = {"weight": float, "width": int, "learning_rate": float}.get(key)
        try:
            settings[key] = kind(value)  # type: ignore[misc]
        except (TypeError, ValueError):
            settings[key] = 0
        if not 0 < settings[key] < 1e4:
            raise InvalidSetting(
                f"--adversary {text}: '{part}' is no setting above 0 of it; write {name}:weight=0.0003,width=64,"
                "learning_rate=0.0001, any of them"
            )
    return Adversary(name, **settings)


def against(adversary: Adversary, method: Method[Any], features: str) -> AnatomyAwareGAN:
    """Return a training with the loss of ``method``, without a discriminator of its own, against ``adversary``.

    features : str
        Name of the vision model that makes the semantic maps, see ``networks.features.registry``.

    Raises InvalidSetting for a method that does more than to minimise a loss.
    """
    content, unit, weight = _content_of(method)
    loaded, source = load_identified(features)
    semantic = map_channels(loaded) if adversary.name == "anatomy" else []
    denoiser = method.denoiser
    assert isinstance(denoiser, Denoiser)
    return AnatomyAwareGAN(
        denoiser, AnatomyDiscriminator(semantic, adversary.width), loaded, source, content, adversary.weight or weight,
        adversary.learning_rate, unit,
    )  # fmt: skip


def _content_of(method: Method[Any]) -> tuple[Objective, Scale, float]:
    """Return a method's loss without a discriminator, its unit, and the weight of the discriminator."""
    if type(method) is Supervised:
        return method.objective, OBJECTIVE, BESIDE_A_LOSS
    if isinstance(method, DualDomainGAN):
        return method.content, UNIT, method.weights.image
    if isinstance(method, CriticGAN) and method.content is not None:
        return method.content, method.unit, method.weight if isinstance(method, LeastSquaresGAN) else 1.0
    raise InvalidSetting(
        f"--adversary: {type(method).__name__} is no loss to put a discriminator beside; take a recipe like leda, "
        "perceptual, du_gan or wgan_vgg"
    )
