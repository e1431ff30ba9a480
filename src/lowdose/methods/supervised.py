"""Supervised training of a denoiser on pairs of low-dose and full-dose images."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar

from torch import Tensor, nn
from torch.nn import functional

from lowdose.batch import PairedBatch
from lowdose.hounsfield import OBJECTIVE
from lowdose.methods.base import Method, Update
from lowdose.networks.denoiser import Denoiser
from lowdose.objectives.base import Objective
from lowdose.objectives.lesion_contrast import lesion_contrast_terms


class Supervised(Method[PairedBatch]):
    """Training of any denoiser with any objective on pairs of low-dose and full-dose images.

    Both images are clipped to the denoiser's range in HU, as at inference, so that values outside play no role.
    """

    accumulates: ClassVar[bool] = True

    def __init__(self, denoiser: Denoiser, objective: Objective) -> None:
        super().__init__()
        self.denoiser = denoiser
        self.objective = objective

    @property
    def model(self) -> nn.Module:
        """The network of the denoiser."""
        return self.denoiser.network

    def trained_modules(self) -> Mapping[str, nn.Module]:
        """Return the denoiser under the name 'denoiser'."""
        return {"denoiser": self.denoiser}

    def fingerprint(self) -> Mapping[str, object]:
        """Return the fingerprint of the objective."""
        return self.objective.fingerprint()

    def updates(self, batch: PairedBatch) -> Iterator[Update]:
        """Yield one update of the denoiser by the objective's terms."""
        pred, middle, full = denoise_batch(self.denoiser, batch)
        compared = OBJECTIVE.encode(self.compared(pred, middle, full, batch.dose))
        terms = self.objective.terms_with_low_dose(compared, OBJECTIVE.encode(full), OBJECTIVE.encode(middle))
        yield Update("denoiser", {**terms, **self.further_terms(pred, compared, middle, full, batch)})

    def compared(self, pred: Tensor, low: Tensor, full: Tensor, dose: Tensor) -> Tensor:
        """Return the image that the objective compares with ``full``; here it is ``pred``.

        Images are (B, 1, H, W) in HU; ``dose`` is (B,), the dose of ``low`` as a fraction of full dose.
        """
        return pred

    def further_terms(
        self, pred: Tensor, compared: Tensor, low: Tensor, full: Tensor, batch: PairedBatch
    ) -> Mapping[str, Tensor]:
        """Return loss terms beyond those of the objective by name; here there are none.

        Images are (B, 1, H, W) in HU, clipped to the denoiser's range; ``batch`` is what they were made of.
        ``compared`` is what the objective compares with ``full``, in its unit.
        """
        return {}


def denoise_batch(denoiser: Denoiser, batch: PairedBatch) -> tuple[Tensor, Tensor, Tensor]:
    """Return the denoised images, the low-dose images without their neighbours, and the full-dose images.

    All are (B, 1, H, W) in HU; the images of the batch are clipped to the denoiser's range, as at inference.
    """
    return *denoise_slice(denoiser, batch.low), batch.full.clamp(denoiser.scale.low, denoiser.scale.high)


def denoise_slice(denoiser: Denoiser, stack: Tensor) -> tuple[Tensor, Tensor]:
    """Return the slice in the middle of neighbouring ones, denoised and as it is, each (B, 1, H, W).

    stack: (B, 2c+1, H, W), HU, of which the denoiser sees as many as it takes; clipped to its range.
    """
    scale, middle = denoiser.scale, stack.shape[1] // 2
    seen = stack[:, middle - denoiser.context : middle + denoiser.context + 1].clamp(scale.low, scale.high)
    return scale.decode(denoiser(scale.encode(seen)).float()), seen[:, denoiser.context, None]


class NoiseFree(Supervised):
    """Training towards the image without any noise, although every target has the noise of full dose.

    The noise of an input at the dose fraction a is the noise of full dose, with the share a of the variance, plus
    independent noise of the same kind. So if f(low) is the best estimate of the noise-free image,
    a low + (1 - a) f(low) is that of the full-dose image. The latter is compared with the target, while f is the
    network that is kept (Moran et al., Noisier2Noise, CVPR 2020, with alpha^2 = (1 - a) / a). The weights then do not
    depend on how much noise an image should keep, whereas a network that estimates the full-dose image itself has to
    guess a.

    The error of each pair is multiplied by FLOOR / sqrt(SD^2 + FLOOR^2), with SD the noise of its input. Over doses
    from 5 to 70 % and kernels from soft to sharp the noise differs thirtyfold, its square a thousandfold: without
    weights, the network would learn from little but the noisiest images. The weight depends on the input alone, so that
    the best estimate for a given input stays the same. Suitable for objectives that depend on the error alone, as MSE
    does, and for pairs of known dose.

    Parameters
    ----------
    denoiser : Denoiser
        The denoiser to train; it is marked as one that estimates the noise-free image.
    objective : Objective
        Compares the weighted error of each pair.
    texture : Objective or None
        Compares the full-dose estimate itself with the target, without these weights, as an objective must that does
        not depend on the error alone. None = no such term.
    lesion_weight : float
        Weight of the error of the contrast of inserted lesions (``objectives.lesion_contrast``), with the weights of
        the pairs. 0 = no such term, otherwise batches need ``lesion``.

    Attributes
    ----------
    FLOOR : HU
        Noise below which inputs have nearly equal weight.
    """

    FLOOR: ClassVar[float] = 10.0

    def __init__(
        self, denoiser: Denoiser, objective: Objective, texture: Objective | None = None, lesion_weight: float = 0.0
    ) -> None:
        super().__init__(denoiser, objective)
        self.texture, self.lesion_weight = texture, lesion_weight
        denoiser.noise_free = True

    @property
    def fields(self) -> Sequence[str]:
        """The usual fields, and lesions where their contrast counts."""
        return (*super().fields, "lesion") if self.lesion_weight else super().fields

    def fingerprint(self) -> Mapping[str, object]:
        """Return the fingerprints of both objectives."""
        return {**super().fingerprint(), **(self.texture.fingerprint() if self.texture else {})}

    def compared(self, pred: Tensor, low: Tensor, full: Tensor, dose: Tensor) -> Tensor:
        """Return ``full`` plus the weighted error of the full-dose estimate that follows from ``pred``.

        Images are (B, 1, H, W) in HU; ``dose`` is (B,), the dose of ``low`` as a fraction of full dose.
        """
        return full + (full_dose_estimate(pred, low, dose) - full) * (
            self.FLOOR / (noise_sd(low).square() + self.FLOOR**2).sqrt()
        )

    def further_terms(
        self, pred: Tensor, compared: Tensor, low: Tensor, full: Tensor, batch: PairedBatch
    ) -> Mapping[str, Tensor]:
        """Return the terms of ``texture``, and the weighted error of the contrast of lesions."""
        terms: dict[str, Tensor] = {}
        if self.texture is not None:
            estimate = full_dose_estimate(pred, low, batch.dose)
            terms |= self.texture.terms(OBJECTIVE.encode(estimate), OBJECTIVE.encode(full))
        if self.lesion_weight:
            contrast = lesion_contrast_terms(compared, OBJECTIVE.encode(full), batch.lesion)
            terms |= {name: self.lesion_weight * value for name, value in contrast.items()}
        return terms


def full_dose_estimate(pred: Tensor, low: Tensor, dose: Tensor) -> Tensor:
    """Return the estimate a low + (1 - a) pred of the full-dose image, with a = ``dose`` and ``pred`` noise-free.

    Images are (B, 1, H, W) in HU; ``dose`` is (B,), the dose of ``low`` as a fraction of full dose.
    """
    return pred + dose[:, None, None, None] * (low - pred)


def noise_sd(hu: Tensor) -> Tensor:
    """Estimate the standard deviation of the noise of (B, 1, H, W) images in HU, as (B, 1, 1, 1).

    1.4826 times the median absolute difference from the mean of 5x5 pixels: for Gaussian noise that is about its
    standard deviation, and edges hardly change a median.
    """
    residual = hu - functional.avg_pool2d(hu, 5, stride=1, padding=2, count_include_pad=False)
    return 1.4826 * residual.abs().flatten(1).median(dim=1).values[:, None, None, None]
