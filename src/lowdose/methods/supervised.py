"""Learning from pairs: denoise the low-dose patch, compare with the full-dose one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from lowdose.batch import PairedBatch
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.base import Method, Update
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.base import Objective


class Supervised(Method[PairedBatch]):
    """Any denoiser with any objective. Values outside the denoiser's range take no part, as at inference."""

    accumulates: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, objective: Objective) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.objective = objective

    @property
    def model(self) -> nn.Module:
        return self.denoiser.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        return {"denoiser": self.denoiser}

    def fingerprint(self) -> Mapping[str, object]:
        return self.objective.fingerprint()

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        scale = self.denoiser.scale
        low = batch.low.clamp(scale.low, scale.high)
        full = batch.full.clamp(scale.low, scale.high)
        pred = scale.decode(self.denoiser(scale.encode(low)).float())
        own = low[:, self.denoiser.context, None]
        compared = OBJECTIVE.encode(self.compared(pred, own, full, batch.dose))
        yield Update("denoiser", self.objective.terms(compared, OBJECTIVE.encode(full)))

    def compared(self, pred: Tensor, low: Tensor, full: Tensor, dose: Tensor) -> Tensor:
        """What the objective sees in place of ``pred``; images are (B, 1, H, W) HU, dose (B,)."""
        return pred


class NoiseFree(Supervised):
    """The denoiser learns the image without any noise, though every target holds that of full dose.

    Of the noise of an input at dose a, full dose has the share a: the two parts are independent and alike. So where
    f(low) is the best guess of the noise-free image, a low + (1 - a) f(low) is that of full dose; it is what is
    compared, and f is what is kept (Moran et al., Noisier2Noise, CVPR 2020, with alpha^2 = (1 - a) / a). How much noise
    an image should keep is thus no part of the weights: a network that is to guess full dose itself has to guess a.

    The error of each pair counts against the noise of its input, or FLOOR where that is less. Over doses from 5 to 70 %
    and kernels from soft to sharp the noise differs thirtyfold, its square a thousandfold: unweighed, the worst images
    would be nearly all that is learned. The weight is a function of the input alone, so what is best for an input stays
    so. For objectives that grow with the error alone, as MSE, and pairs whose dose is known.
    """

    FLOOR: ClassVar[float] = 10.0
    """HU."""

    def __init__(self, denoiser: Denoiser, objective: Objective) -> None:
        super().__init__(denoiser, objective)
        denoiser.noise_free = True

    def compared(self, pred: Tensor, low: Tensor, full: Tensor, dose: Tensor) -> Tensor:
        guess = pred + dose[:, None, None, None] * (low - pred)
        return full + (guess - full) * (self.FLOOR / (noise_sd(low).square() + self.FLOOR**2).sqrt())


def noise_sd(hu: Tensor) -> Tensor:
    """(B, 1, H, W) HU -> (B, 1, 1, 1): about the SD of the noise, from what differs from the mean of 5x5 pixels.

    By the median, which edges hardly move; 1.4826 times it is the SD of a Gaussian.
    """
    rough = hu - functional.avg_pool2d(hu, 5, stride=1, padding=2, count_include_pad=False)
    return 1.4826 * rough.abs().flatten(1).median(dim=1).values[:, None, None, None]
