"""LIDnet (Chen et al. 2021): a denoiser and a detector of lesions, each learning from the other.

A reconstruction: abstract and slides are public, the paper's equations and the lengths of its schedule are not. From
them are Algorithm 1, the parts S1, S2 and RPN of the detector, and that a perceptual loss on lesions takes the place of
one on whole images; weights, schedule and sizes are this project's choice.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, make_dataclass, replace
from typing import Any

from lowdose.methods.lesion_inspired import LesionInspired, Schedule
from lowdose.methods.supervised import Supervised
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.detection.detector import LesionDetector
from lowdose.objectives.pixel import MSE
from lowdose.training.denoisers import default_denoiser
from lowdose.training.hyperparameters import LARGE, SMALL, Limits
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe


@dataclass(frozen=True)
class LIDnetHyperparameters:
    """Hyperparameters of the collaborative training, besides those of the base.

    Attributes
    ----------
    detector_first : int
        T1: steps in which the detector learns on full dose.
    denoiser_turns, detector_turns : int
        T2 and T3: steps of a round in which the denoiser learns, and then the detector on denoised images. With 0 of
        the latter it stays as it is after T1.
    joint : int
        1: both learn in every step after T1, as an ablation does.
    roi_weight : float
        How hard the perceptual loss on lesions pulls at a denoised image, relative to the loss of the base, by the
        norms of their gradients; 0 = not at all.
    detection_weight : float
        The same of the detector's own losses.
    detector_learning_rate : float
        Largest learning rate of the detector.
    patience : int
        Validations (``validate_every``) without a better AP-50 of the detector on denoised patches of the patients held
        out, after T1, from which the training ends; 0 = it goes on for all steps.
    detector_width, detector_blocks, detector_pyramid, detector_hidden : int
        Size of the detector, see ``networks.detection``; 64, 2, 256 and 1024 are those of ResNet-18 with a feature
        pyramid, which want a GPU.
    """

    detector_first: int = 2000
    denoiser_turns: int = 100
    detector_turns: int = 50
    joint: int = 0
    roi_weight: float = 1.0
    detection_weight: float = 0.3
    detector_learning_rate: float = 1e-3
    patience: int = 0
    detector_width: int = 16
    detector_blocks: int = 1
    detector_pyramid: int = 32
    detector_hidden: int = 128


LIMITS: Limits = {
    "detector_first": (0, LARGE),
    "denoiser_turns": (1, LARGE),
    "detector_turns": (0, LARGE),
    "joint": (0, 1),
    "roi_weight": (0, LARGE),
    "detection_weight": (0, LARGE),
    "detector_learning_rate": (SMALL, LARGE),
    "patience": (0, LARGE),
    "detector_width": (1, 256),
    "detector_blocks": (1, 8),
    "detector_pyramid": (1, 1024),
    "detector_hidden": (1, 4096),
}
LESIONS = {"lesion_share": 0.8, "lesion_smallest_mm": 6.0, "lesion_largest_mm": 25.0}
"""Share of the patches that get a lesion where there is room, and its diameters, where nothing else is said.

A detector that is told to find 4 mm finds that much of noise and of vessels.
"""


def around(base: DenoiserRecipe) -> DenoiserRecipe:
    """Return the recipe that trains the denoiser of ``base`` together with a detector."""

    def method(denoiser: Denoiser, h: Any, teachers: Mapping[str, str]) -> LesionInspired:
        detector = LesionDetector(h.detector_width, h.detector_blocks, h.detector_pyramid, h.detector_hidden)
        schedule = Schedule(h.detector_first, h.denoiser_turns, h.detector_turns, bool(h.joint))
        return LesionInspired(
            base.method(denoiser, h, teachers), detector, schedule, h.roi_weight, h.detection_weight,
            h.detector_learning_rate, h.patience,
        )  # fmt: skip

    return replace(
        base,
        paper="Chen et al., Lesion-inspired denoising network: connecting medical image denoising and lesion "
        f"detection, ACM Multimedia 2021 (reconstruction from abstract and slides), around: {base.paper}",
        method=method,
        hyperparameters=_together(base.hyperparameters),
        around=around,
        accepts_any_network=True,
        learns_from_boxes=True,
    )


def _together(base: DenoiserHyperparameters) -> DenoiserHyperparameters:
    """Return the hyperparameters of the base and LIDnet's own as one set, with the defaults of both."""
    kind = type(base)
    own = [(each.name, each.type, each.default) for each in fields(LIDnetHyperparameters)]
    limits = {"LIMITS": {**kind.LIMITS, **LIMITS}}
    both = make_dataclass(f"LIDnet{kind.__name__}", own, bases=(kind,), namespace=limits, frozen=True)
    found: DenoiserHyperparameters = both(**{**asdict(base), **LESIONS})
    return found


RECIPE = around(
    DenoiserRecipe(
        paper="RED-CNN with mean squared error",
        network=default_denoiser("red_cnn").network,
        method=lambda denoiser, *_: Supervised(denoiser, MSE()),
        scale=default_denoiser("red_cnn").scale,
        hyperparameters=DenoiserHyperparameters(steps=100_000, batch=8, patch=128, learning_rate=1e-4),
    )
)
