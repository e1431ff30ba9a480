"""Reconstruction kernels: the window that each applies to the ramp filter."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from lowdose.errors import InvalidSetting

Window = Literal["ramp", "shepp-logan", "hann"]


@dataclass(frozen=True)
class Kernel:
    """A reconstruction kernel: the frequency window applied to the ramp filter.

    Attributes
    ----------
    window : "ramp", "shepp-logan" or "hann"
        "ramp" applies no window, "shepp-logan" a sinc up to the detector's Nyquist frequency.
    cutoff : float, 1/mm at the axis
        Frequency at which a Hann window reaches zero; it may lie beyond the Nyquist frequency. It is a physical
        frequency, not relative to the detector, because a scanner's kernel is the same for every detector pitch.
    """

    window: Window
    cutoff: float = 0.0

    def __post_init__(self) -> None:
        if self.window not in ("ramp", "shepp-logan", "hann"):
            raise InvalidSetting(f"kernel window '{self.window}': must be ramp, shepp-logan or hann")
        if self.window == "hann" and not 0.05 <= self.cutoff <= 10:
            raise InvalidSetting(f"Hann cut-off {self.cutoff} 1/mm: must be between 0.05 and 10")

    @property
    def label(self) -> str:
        """Kernel name of at most 16 characters, as fits a DICOM header: 'D45', 'Hann 0.9/mm', 'ramp'."""
        preset = next((name.upper() for name, kernel in KERNELS.items() if kernel == self), None)
        return (f"Hann {self.cutoff:.3g}/mm" if preset is None else preset) if self.window == "hann" else self.window

    def __str__(self) -> str:
        if self.window != "hann":
            return self.window
        formula = f"Hann {self.cutoff:.3g}/mm"
        return formula if self.label == formula else f"{self.label} ({formula})"

    def response(self, frequency: Tensor, sample_mm: float) -> Tensor:
        """Return the window A(f) at frequencies in 1/mm, for rays ``sample_mm`` apart at the axis."""
        if self.window == "shepp-logan":
            return torch.sinc(frequency * sample_mm)
        if self.window == "hann":
            cosine = 0.5 + 0.5 * torch.cos(torch.pi * frequency / self.cutoff)
            return torch.where(frequency.abs() < self.cutoff, cosine, 0.0)
        return torch.ones_like(frequency)

    def f_av(self, pixel_mm: float, sample_mm: float) -> float:
        """Return the mean frequency (1/mm) of the noise power spectrum that this kernel gives.

        The noise power of filtered back-projection is f A(f)^2, so the mean frequency is the integral of f^2 A^2
        divided by that of f A^2 (Kijewski & Judy, PMB 1987). Frequencies are weighted as in one dimension, up to the
        lower Nyquist frequency of pixels of ``pixel_mm`` and rays ``sample_mm`` apart.
        """
        f = torch.linspace(0, 0.5 / max(pixel_mm, sample_mm), 2001, dtype=torch.float64)
        power = f * self.response(f, sample_mm).square()
        return float((f * power).sum() / power.sum())


def kernel_matching_f_av(f_av: float, pixel_mm: float, sample_mm: float) -> Kernel:
    """Return the Hann kernel whose noise has the mean frequency ``f_av`` (1/mm).

    Where ``f_av`` is higher than any Hann window can give, the result is the ramp. Raises InvalidSetting unless the
    frequency is positive.
    """
    if not f_av > 0:
        raise InvalidSetting(f"mean frequency {f_av} 1/mm of the noise: must be positive")
    low, high = 0.1, 5.0
    if f_av >= Kernel("hann", high).f_av(pixel_mm, sample_mm):
        return RAMP
    for _ in range(40):
        middle = 0.5 * (low + high)
        below = Kernel("hann", middle).f_av(pixel_mm, sample_mm) < f_av
        low, high = (middle, high) if below else (low, middle)
    return Kernel("hann", 0.5 * (low + high))


RAMP = Kernel("ramp")
SHEPP_LOGAN = Kernel("shepp-logan")

LCD_CT_NYQUIST = 1 / (2 * 1.0 * 595 / 1085.6)
"""Reference frequency (1/mm) of the FDA LCD_CT kernels.

It is the Nyquist frequency at the axis of 1 mm detectors 1085.6 mm from the source, with the axis at 595 mm.
"""

B30 = Kernel("hann", 0.85 * LCD_CT_NYQUIST)
"""Soft kernel that imitates Siemens B30 as FDA LCD_CT does: cut-off 0.776/mm."""

D45 = Kernel("hann", 2.05 * LCD_CT_NYQUIST)
"""Sharp kernel that imitates Siemens D45 as FDA LCD_CT does: cut-off 1.870/mm."""

KERNELS = {"ramp": RAMP, "shepp-logan": SHEPP_LOGAN, "b30": B30, "d45": D45}


def parse_kernel(text: str) -> Kernel:
    """Parse the name of a kernel: 'b30', 'd45', 'ramp', 'shepp-logan' or 'hann=CUTOFF' with a cut-off in 1/mm.

    Case does not matter. Raises InvalidSetting for any other text.
    """
    window, _, cutoff = text.lower().partition("=")
    if window == "hann":
        try:
            return Kernel("hann", float(cutoff))
        except ValueError as error:
            raise InvalidSetting(f"kernel '{text}': write hann=CUTOFF with a number in 1/mm, as hann=0.8") from error
    if window not in KERNELS or cutoff:
        raise InvalidSetting(f"kernel '{text}': must be {', '.join(KERNELS)} or hann=CUTOFF")
    return KERNELS[window]
