"""The denoiser: a network together with the HU scaling of its input and output.

This pair is what is trained, saved, shipped and applied.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import cast

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import IncompatibleCheckpoint, InvalidSetting
from lowdose.hounsfield import Scale
from lowdose.network_spec import NetworkSpec
from lowdose.networks.sampling import Sampler, SliceNoise, is_sampler

MARGIN = 8
"""Pixels of mirrored image around the image. Convolutions pad with zeros; the artefacts of that stay in the margin."""


def pad_to(image: Tensor, multiple: int, smallest: int) -> Tensor:
    """Pad an image (B, C, H, W) by MARGIN on all sides, and further at the lower and right edges to a valid size.

    The padded sides are multiples of ``multiple`` and at least ``smallest``. The padding mirrors the image where the
    image is large enough, and repeats its edge otherwise. The image starts at [MARGIN, MARGIN] of the result.
    """
    far_padding = []  # right, below
    for side in (image.shape[-1], image.shape[-2]):
        with_margins = side + 2 * MARGIN
        far_padding.append(max(smallest, -(-with_margins // multiple) * multiple) - side - MARGIN)
    right, below = far_padding
    mode = "reflect" if right < image.shape[-1] and below < image.shape[-2] else "replicate"
    return functional.pad(image, (MARGIN, right, MARGIN, below), mode=mode)


MEANS_PX, NOISE_FREE_PX = 4.0, 2.5
"""Usual standard deviation, in pixels, of the Gaussian whose local means are kept; the second for models without any
noise.

Where noise hides a small, faint lesion, the best estimate of a network is a fainter lesion: with 4 pixels, a lesion of
5 mm and -20 to -40 HU lost two fifths of its contrast. PSNR on patient L096 is as good down to 2.5 pixels; below that
it falls for soft reconstruction kernels.
"""


FILTERED_ROWS = 32
"""Rows of an image that are filtered by one matrix product."""


def usual_local_means_px(noise_free: bool) -> float:
    """Return the width in pixels of the local means that a denoiser keeps for which no other is stated."""
    return NOISE_FREE_PX if noise_free else MEANS_PX


def channels_last(module: nn.Module) -> None:
    """Convert convolution weights to the channels-last memory format, which CPUs and tensor cores read fastest.

    Results change by rounding only.
    """
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def keep_local_means(before: Tensor, after: Tensor, sigma: float = MEANS_PX) -> Tensor:
    """Give the denoised image ``after`` the local means of the input ``before``.

    The low frequencies of the change are removed again. Filtered back-projection leaves next to no noise at low
    frequencies (its noise power spectrum rises from zero like |f|), so a change of the mean over many pixels is an
    error of the network, not removed noise. Images are (B, 1, H, W) in any unit; the local mean is a Gaussian with a
    standard deviation of ``sigma`` pixels.
    """
    radius = min(int(3 * sigma), *(side - 1 for side in before.shape[-2:]))
    if radius < 1:
        return after
    offsets = torch.arange(-radius, radius + 1, device=before.device, dtype=before.dtype)
    kernel = torch.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = kernel / kernel.sum()
    change = functional.pad(after - before, (radius,) * 4, mode="reflect")
    return after - _filter_columns(_filter_columns(change, kernel).mT, kernel).mT


def _filter_columns(image: Tensor, kernel: Tensor) -> Tensor:
    """Filter the columns of an image (..., H, W) by a kernel (k,): (..., H - k + 1, W).

    ``FILTERED_ROWS`` rows at a time are the product of a banded matrix with the rows around them, which takes a fifth
    of the time of a convolution of one channel.
    """
    rows, side = image.shape[-2] - len(kernel) + 1, FILTERED_ROWS + len(kernel) - 1
    blocks = -(-rows // FILTERED_ROWS)
    if missing := blocks * FILTERED_ROWS - rows:
        image = functional.pad(image, (0, 0, 0, missing))
    band = functional.pad(kernel, (0, FILTERED_ROWS)).repeat(FILTERED_ROWS)  # one longer than a row, so it moves on
    band = band[: FILTERED_ROWS * side].view(FILTERED_ROWS, side)
    around = image.unfold(-2, side, FILTERED_ROWS)  # (..., blocks, W, side)
    return torch.matmul(band, around.mT).flatten(-3, -2)[..., :rows, :]


class Denoiser(nn.Module):
    """A denoising network together with its HU scaling, which this class owns.

    ``denoise`` takes and returns HU, for images of any size; it is the only place that converts HU to the network's
    units and back. ``forward`` runs the bare network in network units, for training.

    Parameters
    ----------
    spec : NetworkSpec
        Name and settings of the network.
    scale : Scale
        Affine map between HU and network units, and the range of HU that the network was made for.
    context : int
        Number of neighbouring slices that the network receives on each side of the slice it denoises. The network must
        take 2 * context + 1 slices: its attribute ``slices`` states the number, and it is 1 for a network without one.
    noise_free : bool
        The network estimates the image without any noise, not the full-dose image; how much noise is kept is decided
        where the denoiser is applied.
    stated_means_px : float or None, pixels
        Standard deviation of the Gaussian whose local means ``denoise`` takes from the input (``keep_local_means``); 0
        = the network's own are left. None = what is usual, ``usual_local_means_px``.

    Raises
    ------
    IncompatibleCheckpoint
        When the network takes another number of slices.
    InvalidSetting
        When ``stated_means_px`` is negative or not finite.
    """

    def __init__(
        self,
        spec: NetworkSpec,
        scale: Scale,
        context: int = 0,
        noise_free: bool = False,
        stated_means_px: float | None = None,
    ) -> None:
        super().__init__()
        self.spec = spec
        self.scale = scale
        self.context = context
        self.noise_free = noise_free
        if stated_means_px is not None and not 0 <= stated_means_px < math.inf:
            raise InvalidSetting(
                f"local means over {stated_means_px:g} pixels: must be a number from 0, which keeps none"
            )
        self.stated_means_px = stated_means_px
        self.network = spec.build()
        slices = getattr(self.network, "slices", 1)
        if slices != 2 * context + 1:
            raise IncompatibleCheckpoint(
                f"context {context}: {2 * context + 1} slices, but network '{spec.name}' with {dict(spec.settings)} "
                f"takes {slices}"
            )

    @property
    def multiple(self) -> int:
        """Both sides of an image for ``forward`` must be multiples of this."""
        return int(getattr(self.network, "multiple", 1))

    @property
    def smallest(self) -> int:
        """Pixels a side of the smallest image for ``forward``."""
        return int(getattr(self.network, "smallest", 1))

    @property
    def at_inference(self) -> dict[str, int]:
        """Settings of the network that can be chosen when it is applied, with their values."""
        return {name: int(getattr(self.network, name)) for name in getattr(self.network, "at_inference", {})}

    @property
    def identity(self) -> str:
        """Text of all that the network computes with besides its weights."""
        return f"{self.spec!r} {self.at_inference}" if self.at_inference else repr(self.spec)

    @property
    def local_means_px(self) -> float:
        """Standard deviation, in pixels, of the Gaussian whose local means ``denoise`` keeps; 0 = none."""
        return usual_local_means_px(self.noise_free) if self.stated_means_px is None else self.stated_means_px

    def forward(self, low: Tensor) -> Tensor:
        """Denoise the middle one of neighbouring slices, in network units: (B, 2 * context + 1, H, W) -> (B, 1, H, W).

        The slices are in their order along the series.
        """
        result: Tensor = self.network(low)
        return result

    @torch.inference_mode()
    def denoise(self, hu: Tensor, run: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """Denoise the middle one of neighbouring slices, in HU: (B, 2 * context + 1, H, W) -> (B, 1, H, W).

        Pixels outside the range of the scale, and slices that the network leaves as they are, keep their HU exactly.
        run: function to call in place of ``forward`` on the padded slices in network units, such as another inference
        engine; without one, a network that draws random numbers samples (``networks.sampling``). Raises ValueError for
        another number of slices.
        """
        if hu.shape[1] != 2 * self.context + 1:
            raise ValueError(f"this denoiser takes {2 * self.context + 1} slices at a time, got {tuple(hu.shape)}")
        height, width = hu.shape[-2:]
        middle_slice = slice(self.context, self.context + 1)
        clipped = hu.clamp(self.scale.low, self.scale.high)
        units = pad_to(self.scale.encode(clipped), self.multiple, self.smallest)
        unpadded = (..., slice(MARGIN, MARGIN + height), slice(MARGIN, MARGIN + width))
        if run is None and is_sampler(self.network):
            run = partial(cast("Sampler", self.network).sample, noise=SliceNoise(hu[:, middle_slice]))
        found, before = (run or self)(units), clipped[:, middle_slice]
        if torch.equal(found, units[:, middle_slice]):
            return hu[:, middle_slice].clone()  # without the rounding of the way into network units and back
        clean = self.scale.decode(found)[unpadded]
        if self.local_means_px > 0:
            clean = keep_local_means(before, clean, self.local_means_px)
        return self.scale.blend(hu[:, middle_slice], clean)
