"""Filtered back-projection of fan-beam and parallel-beam scans on CPU and CUDA, differentiable and batched."""

from __future__ import annotations

import torch
from torch import Tensor

from lowdose.physics.backprojection import backprojection_table
from lowdose.physics.backprojection_cpu import BackProjectionCPU
from lowdose.physics.backprojection_torch import BackProjectionTorch
from lowdose.physics.geometry import Beam, FanBeam, Grid
from lowdose.physics.kernels import Kernel
from lowdose.physics.projection import ByDevice, check_shape, over_last_two


class FBP:
    """Filtered back-projection of line integrals to slices.

    Calling it with sinograms (..., views, detectors) returns slices (..., ny, nx), in the unit of the integrals per mm.
    The ramp filter is band-limited in space (eq. 3.61), has the factor of equiangular rays for a fan beam (eq. 3.88),
    and is multiplied by the kernel's window.

    ``upsampling`` is the number of samples per detector of the filtered projections before they are interpolated
    linearly. 1 is the textbook method, which blurs; 4 leaves the kernel almost unchanged, which matches the noise of
    real scans (docs/results.md).

    Pixels outside the measured field (``beam.radius_mm``) are unreliable. Raises InvalidSetting when the grid reaches
    the source.

    References
    ----------
    A. C. Kak and M. Slaney, Principles of Computerized Tomographic Imaging, 1988, chapter 3.
    """

    def __init__(self, beam: Beam, grid: Grid, kernel: Kernel, upsampling: int = 1) -> None:
        self.beam, self.grid, self.kernel, self._upsampling = beam, grid, kernel, upsampling
        table = backprojection_table(beam, grid, upsampling)
        self._maps = ByDevice(BackProjectionCPU(table), BackProjectionTorch(table))
        self._fft_length = 1 << (2 * beam.detectors - 1).bit_length()
        self._projection_weights, self._ramp_filter = (
            _projection_weights(beam),
            _ramp_filter(beam, kernel, self._fft_length),
        )
        if upsampling > 1:
            # The short spectrum holds the Nyquist frequency once; in a longer one it occurs twice, half as strong.
            self._ramp_filter[-1] /= 2

    def __call__(self, sinograms: Tensor) -> Tensor:
        """Reconstruct sinograms; raise GeometryMismatch when they are not (..., views, detectors)."""
        check_shape(sinograms, (self.beam.views, self.beam.detectors), "sinograms")
        return over_last_two(self._maps.forward, self.filtered(sinograms))

    def filtered(self, sinograms: Tensor) -> Tensor:
        """Return the filtered projections that are back-projected, (..., views, detectors * upsampling)."""
        weighted = sinograms * self._projection_weights.to(sinograms)
        spectrum = torch.fft.rfft(weighted, n=self._fft_length) * self._ramp_filter.to(sinograms)
        fine = self._upsampling
        lines: Tensor = fine * torch.fft.irfft(spectrum, n=self._fft_length * fine)
        return lines[..., : self.beam.detectors * fine]


def _projection_weights(beam: Beam) -> Tensor:
    """Return the weights (detectors,) of the projections: for a fan, source distance times cosine of the fan angle."""
    if isinstance(beam, FanBeam):
        return beam.source_mm * torch.cos(torch.from_numpy(beam.fans()))
    return torch.ones(beam.detectors, dtype=torch.float64)


def _ramp_filter(beam: Beam, kernel: Kernel, length: int) -> Tensor:
    """Return the real spectrum (length // 2 + 1,) of the windowed ramp, scaled by the steps of both integrals."""
    step = beam.fan_step if isinstance(beam, FanBeam) else beam.sample_mm
    n = torch.arange(length, dtype=torch.float64)
    n = torch.minimum(n, length - n)
    ramp = torch.where(n % 2 == 1, -1 / (torch.pi * n * step).square(), 0.0)
    ramp[0] = 1 / (4 * step**2)
    if isinstance(beam, FanBeam):
        # Taps beyond the width of the fan are never used, and the factor would grow without bound there.
        angle = torch.clamp(n, max=2 * beam.detectors) * step
        ramp = 0.5 * ramp * torch.where(angle > 0, angle / torch.sin(angle.clamp(max=3.0)), 1.0).square()
    frequency = torch.fft.rfftfreq(length, beam.sample_mm, dtype=torch.float64)
    full_angle = 2 * torch.pi if isinstance(beam, FanBeam) else torch.pi
    spectrum: Tensor = torch.fft.rfft(ramp).real
    return spectrum * kernel.response(frequency, beam.sample_mm) * step * full_angle / beam.views
