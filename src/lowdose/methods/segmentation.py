"""Training of the anatomy network on labelled slices."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from torch import nn

from lowdose.batch import LabelledBatch
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.base import Method, Update
from lowdose.networks.anatomy import Anatomy
from lowdose.objectives.segmentation import segmentation_terms


class Segmentation(Method[LabelledBatch]):
    """Training of the anatomy network with cross-entropy and Dice, on labels at half the resolution of the slices."""

    def __init__(self, network: Anatomy) -> None:
        super().__init__()
        self.network = network

    @property
    def model(self) -> nn.Module:
        """The anatomy network."""
        return self.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the anatomy network under the name 'anatomy'."""
        return {"anatomy": self.network}

    def updates(self, batch: LabelledBatch) -> Iterator[Update]:
        """Yield one update of the anatomy network; HU outside [-1000, 2000] are clipped."""
        logits = self.network(OBJECTIVE.encode(batch.hu.clamp(OBJECTIVE.low, OBJECTIVE.high)))
        yield Update("anatomy", segmentation_terms(logits, batch.classes, batch.annotated))
