"""The denoiser: a network together with its scale. This pair is what is trained, saved, shipped and applied."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional

from lowdose.errors import IncompatibleCheckpoint
from lowdose.hounsfield import Scale
from lowdose.network_spec import NetworkSpec

MARGIN = 8
"""Pixels of mirrored image around the real one: convolutions pad with zeros, and what that does stays in here."""


def pad_to(image: Tensor, multiple: int, smallest: int) -> Tensor:
    """Grow (B, C, H, W) by MARGIN all around, and at the far edges to sides that are multiples and not too small.

    Mirrored where the image is large enough, else its edge is repeated; the image starts at [MARGIN, MARGIN].
    """
    far = []
    for side in (image.shape[-1], image.shape[-2]):
        grown = side + 2 * MARGIN
        far.append(max(smallest, -(-grown // multiple) * multiple) - side - MARGIN)
    mode = "reflect" if far[0] < image.shape[-1] and far[1] < image.shape[-2] else "replicate"
    return functional.pad(image, (MARGIN, far[0], MARGIN, far[1]), mode=mode)


MEANS_PX, NOISE_FREE_PX = 4.0, 2.5
"""Gaussian, in pixels, whose means are kept; of models that take out all noise a finer one.

Where noise drowns a faint small lesion the best guess is a fainter one: at 4 pixels a lesion of 5 mm and -20 to -40 HU
lost two fifths of its contrast. PSNR on L096 is as good down to 2.5 pixels, and falls at soft kernels below.
"""


def channels_last(module: nn.Module) -> None:
    """Lay convolution weights out as CPUs and tensor cores read them; results change by rounding only."""
    for parameter in module.parameters():
        if parameter.ndim == 4:
            parameter.data = parameter.data.contiguous(memory_format=torch.channels_last)


def keep_local_means(before: Tensor, after: Tensor, sigma: float = MEANS_PX) -> Tensor:
    """``after`` with the local means of ``before``: what the change holds at low frequency is taken out again.

    Filtered back-projection leaves next to no noise at low frequency (its power spectrum starts at zero like |f|), so
    a change of the mean over many pixels is the network's error, never noise. Gaussian of ``sigma`` pixels;
    (B, 1, H, W), any unit.
    """
    radius = min(int(3 * sigma), *(side - 1 for side in before.shape[-2:]))
    if radius < 1:
        return after
    at = torch.arange(-radius, radius + 1, device=before.device, dtype=before.dtype)
    kernel = torch.exp(-0.5 * (at / sigma) ** 2)
    kernel = kernel / kernel.sum()
    drift = functional.pad(after - before, (radius,) * 4, mode="reflect")
    drift = functional.conv2d(functional.conv2d(drift, kernel[None, None, None, :]), kernel[None, None, :, None])
    return after - drift


class Denoiser(nn.Module):
    """``forward`` works in network units for training; ``denoise`` is HU to HU and takes any size.

    context: neighbouring slices that it sees on each side of the one it denoises. A network takes 2 * context + 1
    slices, as many as its ``slices`` says, one where it has none. noise_free: it makes the image without any noise, not
    that of full dose; how much is to stay is decided where it is applied. Raises IncompatibleCheckpoint for another
    number of slices.
    """

    def __init__(self, spec: NetworkSpec, scale: Scale, context: int = 0, noise_free: bool = False) -> None:
        super().__init__()
        self.spec = spec
        self.scale = scale
        self.context = context
        self.noise_free = noise_free
        self.network = spec.build()
        slices = getattr(self.network, "slices", 1)
        if slices != 2 * context + 1:
            raise IncompatibleCheckpoint(
                f"context {context}: {2 * context + 1} slices, but network '{spec.name}' with {dict(spec.settings)} "
                f"takes {slices}"
            )

    def forward(self, low: Tensor) -> Tensor:
        """(B, 2c+1, H, W) network units, in order along the series -> (B, 1, H, W), the middle one."""
        result: Tensor = self.network(low)
        return result

    @torch.inference_mode()
    def denoise(self, hu: Tensor, run: Callable[[Tensor], Tensor] | None = None) -> Tensor:
        """(B, 2c+1, H, W) HU -> (B, 1, H, W). The middle slice comes back, exactly as it was outside the scale's range.

        run: in place of ``forward``, another way to compute the network on padded network units. Raises ValueError for
        another number of slices.
        """
        if hu.shape[1] != 2 * self.context + 1:
            raise ValueError(f"this denoiser takes {2 * self.context + 1} slices at a time, got {tuple(hu.shape)}")
        height, width = hu.shape[-2:]
        own = slice(self.context, self.context + 1)
        inside = hu.clamp(self.scale.low, self.scale.high)
        multiple, smallest = int(self.network.multiple), int(self.network.smallest)  # type: ignore[arg-type]
        units = pad_to(self.scale.encode(inside), multiple, smallest)
        middle = (..., slice(MARGIN, MARGIN + height), slice(MARGIN, MARGIN + width))
        clean = self.scale.decode((run or self)(units))[middle]
        clean = keep_local_means(inside[:, own], clean, NOISE_FREE_PX if self.noise_free else MEANS_PX)
        return self.scale.blend(hu[:, own], clean)
