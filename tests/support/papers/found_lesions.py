"""A toy paper: a denoiser of three slices and a detector of lesions, on batches with many fields, boxes among them."""

from collections.abc import Iterator, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.batch import PairedBatch
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.base import Method, Update
from lowdose.methods.supervised import denoise_batch
from lowdose.network_spec import NetworkSpec, register_network
from lowdose.networks.denoiser import Denoiser
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe


@register_network("toy_slices")
class ToySlices(nn.Module):
    """One convolution over three slices."""

    def __init__(self, slices: int = 3) -> None:
        super().__init__()
        self.slices = slices
        self.noise = nn.Conv2d(slices, 1, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised slice in the middle."""
        return x[:, self.slices // 2, None] - self.noise(x)


class Detection(Method[PairedBatch]):
    """A detector learns where boxes are, also in denoised slices; it sees the neighbours, and where it looks."""

    fields = ("low", "full", "full_context", "position", "unpaired", "boxes")

    def __init__(self, denoiser: Denoiser) -> None:
        super().__init__()
        self.denoiser, self.detector = denoiser, nn.Conv2d(3 + 3, 1, 5, padding=2)

    @property
    def model(self) -> nn.Module:
        return self.denoiser.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        return {"denoiser": self.denoiser, "detector": self.detector}

    def artefacts(self) -> Mapping[str, nn.Module]:
        return {"detector": self.detector}

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        wanted = self._inside(batch)
        terms = {"full": self._error(batch.full_context, batch, wanted)}
        yield Update("detector", {**terms, "unpaired": self._error(batch.unpaired, batch, 0 * wanted)})
        denoised, _, full = denoise_batch(self.denoiser, batch)
        seen = torch.cat([batch.low[:, :1], denoised, batch.low[:, 2:]], dim=1)
        mse = (OBJECTIVE.encode(denoised) - OBJECTIVE.encode(full)).square().mean()
        yield Update("denoiser", {"mse": mse, "detection": 0.01 * self._error(seen, batch, wanted)})

    def _inside(self, batch: PairedBatch) -> Tensor:
        """Return 1 within the boxes of each patch and 0 elsewhere, (B, 1, H, W)."""
        wanted = torch.zeros_like(batch.full)
        places = torch.repeat_interleave(torch.arange(len(batch.low)), batch.box_counts)
        for place, box, label in zip(places, batch.boxes.round().int().tolist(), batch.labels, strict=True):
            top, left, bottom, right = box
            wanted[place, 0, top:bottom, left:right] = 1.0 + label
        return wanted

    def _error(self, hu: Tensor, batch: PairedBatch, wanted: Tensor) -> Tensor:
        maps = batch.position.nan_to_num()[:, :, None, None].expand(-1, -1, *hu.shape[-2:])
        found = self.detector(torch.cat([OBJECTIVE.encode(hu), maps], dim=1))
        return functional.binary_cross_entropy_with_logits(found, wanted)


def _method(denoiser: Denoiser, _: DenoiserHyperparameters, __: Mapping[str, str]) -> Detection:
    return Detection(denoiser)


RECIPE = DenoiserRecipe("none: a toy", NetworkSpec("toy_slices", {"slices": 3}), _method, learns_from_boxes=True)
