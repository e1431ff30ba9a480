"""Scans given the sharpness of the kernel whose noise is added to them, so that texture alone does not tell them apart.

Noise of a sharp kernel on a scan of a soft one has frequencies that the scan has not: a denoiser trained on such pairs
takes all that is sharp for noise, in a scan of the sharp kernel vessels and edges too.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

import numpy as np
import torch

from lowdose.data.pairs import PairedSlice
from lowdose.data.patches import UNKNOWN_PIXEL_MM
from lowdose.data.transforms.kernel_conversion import conversion_filter, convert_kernel, hann_window
from lowdose.image import HU
from lowdose.metrics.noise_estimate import noise_level
from lowdose.metrics.noise_frequency import f_av, radial_average
from lowdose.networks.noise_vae import NoiseDecoder
from lowdose.physics.kernels import kernel_matching_f_av
from lowdose.training.validation import evenly_spaced

SPECTRUM_SIDE = 64
"""Pixels along each axis of noise power spectra."""
LEAST_NOISE_HU = 4.0
"""Standard deviation below which what is measured is the texture of tissue, as in digital patients, and no kernel's."""
SLICES_MEASURED = 3
"""Slices of a patient by which it is decided whether there is noise."""


class OwnNoise:
    """Noise that scans of normal dose have themselves, measured once a slice."""

    def __init__(self, items: Sequence[PairedSlice]) -> None:
        self._of_patient: dict[int, list[PairedSlice]] = defaultdict(list)
        for item in items:
            self._of_patient[item.patient].append(item)
        self._noisy: dict[int, bool] = {}
        self._measured: dict[str, tuple[float, float | None]] = {}

    def of_slice(self, item: PairedSlice) -> tuple[float, float | None]:
        """Return the variance (HU^2) of the noise of a slice, and the cut-off frequency (1/mm) of its kernel.

        The cut-off is None where the patient's scan has hardly any noise.
        """
        sd, cutoff = self._measure(item)
        if item.patient not in self._noisy:
            chosen = evenly_spaced(self._of_patient[item.patient], SLICES_MEASURED)
            self._noisy[item.patient] = float(np.median([self._measure(each)[0] for each in chosen])) >= LEAST_NOISE_HU
        return sd**2, cutoff if self._noisy[item.patient] else None

    def _measure(self, item: PairedSlice) -> tuple[float, float | None]:
        """Return the standard deviation (HU) of the noise of a slice, and the cut-off frequency of its texture."""
        if item.key not in self._measured:
            hu, pixel = item.read()[1], item.pixel_mm or UNKNOWN_PIXEL_MM
            level = noise_level(hu, np.ones(hu.shape, bool), pixel)
            self._measured[item.key] = (0.0, None) if level is None else (level.sd, cutoff_of(level.f_av, pixel))
        return self._measured[item.key]


def cutoff_of(f_av: float, pixel_mm: float) -> float | None:
    """Return the cut-off frequency (1/mm) of the Hann window whose noise has this mean frequency (1/mm).

    None where there is none: for images without noise, and for noise that is sharper than that of the ramp.
    """
    if f_av <= 0:
        return None
    return kernel_matching_f_av(f_av, pixel_mm, pixel_mm).cutoff or None


@torch.inference_mode()
def noise_cutoff(decoder: NoiseDecoder) -> float | None:
    """Return the cut-off frequency (1/mm) of a noise model's kernel, in the middle of the range of its conditions."""
    middle = ((decoder.lowest + decoder.highest) / 2)[None, :, None, None]
    gains = decoder.gains(middle)[0]
    power = (gains * torch.fft.fft2(decoder.unit_filters, (SPECTRUM_SIDE, SPECTRUM_SIDE)).abs()).square().sum(dim=0)
    pixel = float(decoder.pixel_mm)
    return cutoff_of(f_av(radial_average(power.double().numpy(), pixel)), pixel)


def converted(images: HU, pixel_mm: float, own: float | None, cutoff: float | None) -> HU:
    """Convert (n, k, k) HU from a kernel to another, by their cut-off frequencies; either None: as they are."""
    if own is None or cutoff is None:
        return images
    return convert_kernel(images, pixel_mm, cutoff=cutoff, own=own, side=images.shape[-1])


def variance_ratio(pixel_mm: float, own: float | None, cutoff: float | None) -> float:
    """Return by what the conversion multiplies the variance of noise, whose power is f times the window squared."""
    if own is None or cutoff is None:
        return 1.0
    axis = np.fft.fftfreq(SPECTRUM_SIDE, pixel_mm).astype(np.float32)
    f = np.asarray(np.hypot(axis[:, None], axis), np.float32)
    power = f * hann_window(f / np.float32(own)) ** 2
    return float((power * conversion_filter(f, cutoff, own) ** 2).sum() / power.sum())
