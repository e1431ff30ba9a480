"""Filtered back-projection of fan-beam and parallel-beam scans: one face for CPU and CUDA, differentiable, batched."""

from __future__ import annotations

import torch
from torch import Tensor

from lowdose.physics.backprojection import shadow_table
from lowdose.physics.backprojection_cpu import BackProjectionCPU
from lowdose.physics.backprojection_torch import BackProjectionTorch
from lowdose.physics.geometry import Beam, FanBeam, Grid
from lowdose.physics.kernels import Kernel
from lowdose.physics.projection import ByDevice, check_shape, over_last_two


class FBP:
    """Slices from line integrals (Kak & Slaney, Principles of Computerized Tomographic Imaging, 1988, ch. 3).

    Called with (..., views, detectors) it gives (..., ny, nx) in the unit of the integrals per mm. The ramp is band-
    limited in space (eq. 3.61), for a fan with the factor of equiangular rays (eq. 3.88), and gets the kernel's window.
    upsampling: samples that the filtered lines get for each detector before they are interpolated linearly: 1 is the
    textbook, which blurs; 4 leaves the kernel next to as it is, which is how real noise looks (docs/results.md).
    A pixel outside the measured field (``beam.radius_mm``) is not to be trusted. Raises InvalidSetting when the grid
    reaches the source.
    """

    def __init__(self, beam: Beam, grid: Grid, kernel: Kernel, upsampling: int = 1) -> None:
        self.beam, self.grid, self.kernel, self._upsampling = beam, grid, kernel, upsampling
        table = shadow_table(beam, grid, upsampling)
        self._maps = ByDevice(BackProjectionCPU(table), BackProjectionTorch(table))
        self._length = 1 << (2 * beam.detectors - 1).bit_length()
        self._weight, self._filter = _weight(beam), _filter(beam, kernel, self._length)
        if upsampling > 1:
            # The Nyquist frequency, once in the short spectrum, stands for two in a longer one.
            self._filter[-1] /= 2

    def __call__(self, sinograms: Tensor) -> Tensor:
        """Raises GeometryMismatch when the sinograms are not (..., views, detectors)."""
        check_shape(sinograms, (self.beam.views, self.beam.detectors), "sinograms")
        return over_last_two(self._maps.forward, self.filtered(sinograms))

    def filtered(self, sinograms: Tensor) -> Tensor:
        """What is smeared back, (..., views, detectors * upsampling)."""
        weighted = sinograms * self._weight.to(sinograms)
        spectrum = torch.fft.rfft(weighted, n=self._length) * self._filter.to(sinograms)
        fine = self._upsampling
        lines: Tensor = fine * torch.fft.irfft(spectrum, n=self._length * fine)
        return lines[..., : self.beam.detectors * fine]


def _weight(beam: Beam) -> Tensor:
    """(detectors,): the cosine of a fan's rays times the distance of the source."""
    if isinstance(beam, FanBeam):
        return beam.source_mm * torch.cos(torch.from_numpy(beam.fans()))
    return torch.ones(beam.detectors, dtype=torch.float64)


def _filter(beam: Beam, kernel: Kernel, length: int) -> Tensor:
    """(length // 2 + 1,) real: the transform of the windowed ramp, with the steps of both integrals."""
    step = beam.fan_step if isinstance(beam, FanBeam) else beam.sample_mm
    n = torch.arange(length, dtype=torch.float64)
    n = torch.minimum(n, length - n)
    ramp = torch.where(n % 2 == 1, -1 / (torch.pi * n * step).square(), 0.0)
    ramp[0] = 1 / (4 * step**2)
    if isinstance(beam, FanBeam):
        # Beyond the fan the taps are never used; the factor would grow without bound there.
        angle = torch.clamp(n, max=2 * beam.detectors) * step
        ramp = 0.5 * ramp * torch.where(angle > 0, angle / torch.sin(angle.clamp(max=3.0)), 1.0).square()
    frequency = torch.fft.rfftfreq(length, beam.sample_mm, dtype=torch.float64)
    turn = 2 * torch.pi if isinstance(beam, FanBeam) else torch.pi
    spectrum: Tensor = torch.fft.rfft(ramp).real
    return spectrum * kernel.response(frequency, beam.sample_mm) * step * turn / beam.views
