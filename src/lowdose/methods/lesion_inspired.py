"""Training of a denoiser and of a detector of lesions in turns, each learning from the other (LIDnet)."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from lowdose.batch import PairedBatch
from lowdose.methods.base import Method, Update
from lowdose.methods.optimiser_settings import OptimiserSettings
from lowdose.methods.supervised import denoise_batch
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.detection.detector import LesionDetector
from lowdose.networks.detection.detector_file import ARTEFACT
from lowdose.objectives.roi import roi_perceptual


@dataclass(frozen=True)
class Schedule:
    """Which side learns in which step (Algorithm 1 of the paper).

    Attributes
    ----------
    detector_first : int
        T1: steps in which the detector learns on full dose, at the beginning.
    denoiser_turns, detector_turns : int
        T2 and T3: steps of a round in which the denoiser learns, and then the detector, on denoised images.
    joint : bool
        Both learn in every step after the first, instead of in turns.
    """

    detector_first: int
    denoiser_turns: int
    detector_turns: int
    joint: bool = False

    def sides(self, step: int) -> tuple[bool, bool]:
        """Return whether the denoiser learns in a step, and whether the detector does, counted from 0."""
        if step < self.detector_first:
            return False, True
        if self.joint:
            return True, True
        place = (step - self.detector_first) % (self.denoiser_turns + self.detector_turns)
        return place < self.denoiser_turns, place >= self.denoiser_turns


class LesionInspired(Method[PairedBatch]):
    """Any training of a denoiser, which learns from a detector of lesions too, while the detector learns from it.

    Parameters
    ----------
    base : Method
        The training of the denoiser, adversarial or not; what it does in a step stays as it is, and the terms of the
        detector are added to the loss of the denoiser.
    detector : LesionDetector
        Learns where lesions are, first in full-dose and then in denoised images.
    schedule : Schedule
        Which side learns when. The side whose turn it is not stays as it is.
    roi_weight, detection_weight : float
        Weights, in the denoiser's loss, of the perceptual loss on lesions and of the detector's own losses.
    learning_rate : float
        Learning rate of the detector.

    References
    ----------
    K. Chen, K. Long, Y. Ren, J. Sun, X. Pu, Lesion-Inspired Denoising Network: Connecting Medical Image Denoising and
    Lesion Detection, ACM Multimedia 2021, Algorithm 1.
    """

    turn: Tensor

    def __init__(
        self, base: Method[Any], detector: LesionDetector, schedule: Schedule, roi_weight: float,
        detection_weight: float, learning_rate: float,
    ) -> None:  # fmt: skip
        super().__init__()
        self.base, self.detector, self.schedule = base, detector, schedule
        self.roi_weight, self.detection_weight, self._learning_rate = roi_weight, detection_weight, learning_rate
        self.register_buffer("turn", torch.tensor(0))

    @property
    def fields(self) -> Sequence[str]:
        """Those of the base, and boxes."""
        return tuple(dict.fromkeys((*self.base.fields, "boxes")))

    @property
    def neighbours(self) -> int:
        """Those of the base."""
        return self.base.neighbours

    @property
    def model(self) -> nn.Module:
        """The network of the denoiser."""
        return self.base.model

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return those of the base, and the detector."""
        return {**self.base.trained_modules(), ARTEFACT: self.detector}

    def optimisers(self) -> Mapping[str, OptimiserSettings]:
        """Return those of the base, and AdamW with a learning rate of its own for the detector."""
        return {**self.base.optimisers(), ARTEFACT: OptimiserSettings("adamw", self._learning_rate)}

    def checkpointed_modules(self) -> Mapping[str, nn.Module]:
        """Return those of the base, and the detector."""
        return {**self.base.checkpointed_modules(), ARTEFACT: self.detector}

    def artefacts(self) -> Mapping[str, nn.Module]:
        """Return those of the base, and the detector."""
        return {**self.base.artefacts(), ARTEFACT: self.detector}

    def own_state(self) -> dict[str, Tensor]:
        """Return the count of steps, and the buffers of the base."""
        return {"turn": self.turn, **{f"base.{name}": value for name, value in self.base.own_state().items()}}

    def fingerprint(self) -> Mapping[str, object]:
        """Return the fingerprint of the base."""
        return self.base.fingerprint()

    def extra_metrics(self) -> Mapping[str, float]:
        """Return those of the base."""
        return self.base.extra_metrics()

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        """Yield the updates of the side, or sides, whose turn it is."""
        step = int(self.turn)
        self.turn += 1
        of_denoiser, of_detector = self.schedule.sides(step)
        if of_denoiser:
            yield from self._denoiser_updates(batch)
        if of_detector:
            yield Update(ARTEFACT, self._losses(self._for_detector(batch, step), batch))

    def _for_detector(self, batch: PairedBatch, step: int) -> Tensor:
        """Return what the detector learns from: full dose at first, denoised images afterwards."""
        if step < self.schedule.detector_first:
            return batch.full
        with torch.no_grad():
            return denoise_batch(self._denoiser, batch)[0]

    @property
    def _denoiser(self) -> Denoiser:
        denoiser = self.base.trained_modules()["denoiser"]
        assert isinstance(denoiser, Denoiser)
        return denoiser

    def _denoiser_updates(self, batch: PairedBatch) -> Iterator[Update]:
        """Yield the updates of the base, with the terms of the detector in that of the denoiser.

        They are computed on the very images that the base has denoised in it.
        """
        seen: list[Tensor] = []
        hook = self._denoiser.register_forward_hook(lambda _, __, out: seen.append(out))
        try:
            for update in self.base.updates(batch):
                if update.module == "denoiser":
                    denoised = self._denoiser.scale.decode(seen[-1].float())
                    update = update._replace(terms={**update.terms, **self._lesion_terms(denoised, batch)})
                yield update
        finally:
            hook.remove()

    def _lesion_terms(self, denoised: Tensor, batch: PairedBatch) -> dict[str, Tensor]:
        self.detector.requires_grad_(False).eval()
        terms = {}
        if self.roi_weight:
            loss = roi_perceptual(self.detector, denoised, batch.full, batch.boxes, batch.box_counts)
            terms["roi"] = self.roi_weight * loss
        if self.detection_weight:
            losses = self._losses(denoised, batch)
            terms["detection"] = self.detection_weight * torch.stack(list(losses.values())).sum()
        self.detector.requires_grad_(True).train()
        return terms

    def _losses(self, slices: Tensor, batch: PairedBatch) -> Mapping[str, Tensor]:
        return self.detector.losses(slices, batch.boxes, batch.box_counts, batch.number)
