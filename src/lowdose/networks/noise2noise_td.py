"""Denoiser of projections: each is predicted from its neighbours in angle (Noise2NoiseTD, Zainulina et al. 2022)."""

from __future__ import annotations

import math
from functools import lru_cache
from itertools import pairwise

import torch
from torch import Tensor, nn

from lowdose.network_spec import register_network
from lowdose.networks.full_precision import full_precision
from lowdose.networks.neighbours import check_slices
from lowdose.physics.fbp import FBP
from lowdose.physics.geometry import Grid, ParallelBeam
from lowdose.physics.kernels import RAMP
from lowdose.physics.projection import Projector
from lowdose.physics.scanner import WATER

NEIGHBOURS = 3
"""Projections on each side that a projection is predicted from."""
WATER_PER_PIXEL = 0.75 * WATER
"""Attenuation of a pixel of water. A network does not learn the size of the pixels, so that 0.75 mm is assumed."""
SLOPE = 0.1
"""Slope of the leaky ReLU below 0."""
SPREAD = 0.01
"""Relative uncertainty of a prediction of untrained weights."""
PACE = 10.0
"""Factor on the parameters of the noise model, so that photons are learned as fast as weights are."""


@register_network("noise2noise_td")
class Noise2NoiseTD(nn.Module):
    """Denoises the projections of a slice and adds the change, reconstructed: (B, slices, H, W) -> (B, 1, H, W).

    A slice is projected along parallel rays, one pixel apart. Each projection is predicted from three on either side of
    it, as a mean and its uncertainty, and what was measured is weighed against the prediction by their variances. The
    difference from the projections of the slice itself is reconstructed by filtered back-projection and added to it, so
    that what projecting and reconstructing lose is not lost. Rows of a projection are the neighbouring slices.

    Layers and noise model are those of the paper; what convolutions see are line integrals in place of transmissions,
    and the mean is the interpolation of the nearest two projections times a factor that the layers predict, 1 at first.

    Parameters
    ----------
    width : int
        Channels of the convolutions.
    features : int
        Channels of each projection's features.
    slices : int
        Neighbouring slices, the one to denoise in the middle. An odd number.
    views : int
        Projections over half a turn of an image whose diagonal has ``columns`` pixels; of a smaller one fewer.
    step : int
        Distance, in projections, of the neighbours that a projection is predicted from. Noise of an image that is
        projected again is similar in adjacent projections, so that 1 is for projections that were measured.
    columns : int
        Detector columns whose number of photons the noise model knows, in the middle of the detector.

    Attributes
    ----------
    reach : int
        Projections on each side of one that take part in its prediction.
    noise : NoiseModel
        Variance of a transmission.
    unexportable : str
        Why inference engines do not run it.

    Raises
    ------
    ValueError
        For an even number of slices, which has no middle one.

    References
    ----------
    E. Zainulina, A. Chernyavskiy, D. V. Dylov, Self-supervised Physics-based Denoising for Computed Tomography,
    arXiv 2211.00745, 2022.
    """

    unexportable = "projects slices"

    def __init__(
        self, width: int = 64, features: int = 16, slices: int = 1, views: int = 720, step: int = 2, columns: int = 736
    ) -> None:  # fmt: skip
        super().__init__()
        check_slices(slices)
        self.slices, self.views, self.step, self.columns = slices, views, step, columns
        self.reach = NEIGHBOURS * step
        widths = [1, *5 * [width], features]
        layers: list[nn.Module] = []
        for a, b in pairwise(widths):
            layers += [_convolution(a, b), nn.LeakyReLU(SLOPE)]
        self.encode = nn.Sequential(*layers[:-1])
        self.gates = _convolution(2 * features, 4 * features)
        count = 2 * NEIGHBOURS
        self.excite = nn.Sequential(
            nn.Linear(count, count // 2, bias=False), nn.ReLU(), nn.Linear(count // 2, count, bias=False), nn.Sigmoid()
        )
        self.combine = nn.Sequential(
            nn.Conv2d(count * features, width, 1, bias=False), nn.ReLU(), nn.Conv2d(width, 2, 1, bias=False)
        )
        nn.init.zeros_(self.combine[-1].weight)  # type: ignore[arg-type]
        self.noise = NoiseModel(columns)

    def forward(self, x: Tensor) -> Tensor:
        """Return the denoised middle slice (B, 1, H, W), in network units."""
        middle = self.slices // 2
        with full_precision(x):
            measured = self.project(x)
            change = measured[:, middle].log() - self.denoise_projections(measured).log()
            return x[:, middle, None] + self.reconstruct(change, (x.shape[-2], x.shape[-1]))

    def denoise_projections(self, measured: Tensor) -> Tensor:
        """Denoise the middle slice of transmissions (B, slices, views, detectors) over half a turn."""
        mean, sd = self.predict(around(measured, self.reach))
        return posterior(mean, sd, measured[:, self.slices // 2], self.noise(mean))

    def count_views(self, shape: tuple[int, int]) -> int:
        """Return the number of projections of an image of this shape."""
        return max(2 * self.reach + 1, round(self.views * math.hypot(*shape) / self.columns))

    def project(self, x: Tensor) -> Tensor:
        """Return the transmissions (B, slices, views, detectors) of slices (B, slices, H, W) in network units."""
        shape = (x.shape[-2], x.shape[-1])
        attenuation = WATER_PER_PIXEL * (1 + x).clamp(min=0)
        return torch.exp(-_scan(shape, self.count_views(shape))[0].forward(attenuation))

    def reconstruct(self, integrals: Tensor, shape: tuple[int, int]) -> Tensor:
        """Reconstruct line integrals (B, views, detectors) as images (B, 1, H, W) on which water is 1."""
        image: Tensor = _scan(shape, self.count_views(shape))[1](integrals)
        return image[:, None] / WATER_PER_PIXEL

    def predict(self, measured: Tensor) -> tuple[Tensor, Tensor]:
        """Predict transmissions of the middle slice from their neighbours in angle, without themselves.

        Parameters
        ----------
        measured : Tensor
            Transmissions (B, slices, views, detectors), with ``reach`` projections more on each side than are wanted.

        Returns
        -------
        mean, sd : Tensor
            (B, views - 2 reach, detectors).
        """
        integrals = -measured.log()
        batch, slices, views, detectors = integrals.shape
        wanted = views - 2 * self.reach

        def at(values: Tensor, steps: int) -> Tensor:
            first = self.reach + steps * self.step
            return values[:, first : first + wanted]

        rows = integrals.transpose(1, 2).reshape(batch * views, 1, slices, detectors)
        features = self.encode(rows).reshape(batch, views, -1, slices, detectors)
        before = self._recurrent([at(features, steps).flatten(0, 1) for steps in range(-NEIGHBOURS, 0)])
        after = self._recurrent([at(features, steps).flatten(0, 1) for steps in range(NEIGHBOURS, 0, -1)])
        states = torch.stack([*before, *after[::-1]], dim=1)
        weights: Tensor = self.excite(states.mean(dim=(2, 3, 4)))
        joined = (states[..., slices // 2, :] * weights[..., None, None]).flatten(1, 2)
        found = self.combine(joined[:, :, None]).reshape(batch, wanted, 2, detectors)
        middle = integrals[:, slices // 2]
        interpolated = torch.exp(-(at(middle, -1) + at(middle, 1)) / 2)
        return interpolated * found[:, :, 0].exp(), SPREAD * interpolated * found[:, :, 1].exp()

    def _recurrent(self, seen: list[Tensor]) -> list[Tensor]:
        """Return the states of the convolutional LSTM for features (N, C, slices, detectors), outermost first."""
        hidden, cell, states = torch.zeros_like(seen[0]), torch.zeros_like(seen[0]), []
        for features in seen:
            keep, write, show, new = self.gates(torch.cat([features, hidden], dim=1)).chunk(4, dim=1)
            cell = keep.sigmoid() * cell + write.sigmoid() * new.tanh()
            hidden = show.sigmoid() * cell.tanh()
            states.append(hidden)
        return states


class NoiseModel(nn.Module):
    """Variance of a transmission: mean / photons + (electronic / photons)^2, with photons learned for each column.

    The paper's photons also depend on the tube current, which a series of images does not tell.

    Parameters
    ----------
    columns : int
        Columns in the middle of the detector; those beyond have the photons of the outermost.
    photons, electronic : float
        Photons through air and standard deviation of the electronic noise in photons of an untrained model.
    """

    def __init__(self, columns: int, photons: float = 2e4, electronic: float = 10.0) -> None:
        super().__init__()
        self.log_photons = nn.Parameter(torch.full((columns,), math.log(photons) / PACE))
        self.log_electronic = nn.Parameter(torch.tensor(math.log(electronic) / PACE))

    def forward(self, mean: Tensor, first: Tensor | None = None, detectors: int | None = None) -> Tensor:
        """Return the variance of transmissions of ``mean`` (B, views, columns).

        first, detectors: of a window, the first column of each sample, (B,), and the columns of the whole detector.
        """
        whole = mean.shape[-1] if detectors is None else detectors
        places = torch.arange(mean.shape[-1], device=mean.device)[None]
        if first is not None:
            places = places + first[:, None]
        known = (places - whole // 2 + len(self.log_photons) // 2).clamp(0, len(self.log_photons) - 1)
        photons = (PACE * self.log_photons).exp()[known][:, None]
        return mean / photons + ((PACE * self.log_electronic).exp() / photons).square()


def posterior(mean: Tensor, sd: Tensor, measured: Tensor, variance: Tensor) -> Tensor:
    """Return the mean of a transmission that is predicted as ``mean`` and ``sd``, and measured with ``variance``."""
    return (mean * variance + measured * sd.square()) / (sd.square() + variance)


def around(projections: Tensor, reach: int) -> Tensor:
    """Continue projections (..., views, detectors) over half a turn by ``reach`` at both ends, mirrored."""
    before, after = projections[..., -reach:, :].flip(-1), projections[..., :reach, :].flip(-1)
    return torch.cat([before, projections, after], dim=-2)


def _convolution(channels: int, filters: int) -> nn.Conv2d:
    return nn.Conv2d(channels, filters, 3, padding=1, padding_mode="replicate", bias=False)


@lru_cache(maxsize=4)
def _scan(shape: tuple[int, int], views: int) -> tuple[Projector, FBP]:
    """Return projection and reconstruction of images of one shape, in units of a pixel."""
    grid = Grid(shape, (1.0, 1.0))
    beam = ParallelBeam(views, math.ceil(math.hypot(*shape)) + 1, 1.0)
    return Projector(beam, grid), FBP(beam, grid, RAMP, upsampling=4)
