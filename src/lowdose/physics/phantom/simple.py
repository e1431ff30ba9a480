"""A small synthetic patient: simple shapes with the HU of organs, and noise with the texture of a sharp kernel.

Enough to try every command without patient data; it is no substitute for one in judging a denoiser.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import gaussian_filter

from lowdose.errors import InvalidSetting
from lowdose.volume import HU, Acquisition, Geometry, Volume


@dataclass(frozen=True)
class Ellipse:
    """An ellipse in the slice; centre and half axes in mm (y, x), angle in degrees, value in HU.

    grow: relative change of the half axes from the first to the last slice.
    """

    hu: float
    centre: tuple[float, float]
    half: tuple[float, float]
    angle: float = 0.0
    grow: float = 0.0


ABDOMEN = (
    Ellipse(-100, (0, 0), (122, 168)),  # skin and fat
    Ellipse(55, (0, 0), (104, 148)),  # muscle wall
    Ellipse(-95, (-8, 0), (88, 132)),  # fat between the organs
    Ellipse(110, (-18, -62), (62, 66), 20, -0.15),  # liver
    Ellipse(160, (-14, -52), (5, 22), 35),  # portal vein
    Ellipse(150, (2, -72), (3.5, 18), -30),  # hepatic vein
    Ellipse(70, (-34, -80), (7, 7), 0, 0.3),  # metastasis
    Ellipse(85, (-2, -40), (4, 4), 0, -0.2),  # small metastasis
    Ellipse(12, (-52, -36), (15, 11), 10),  # gall bladder
    Ellipse(120, (10, 88), (32, 20), -15),  # spleen
    Ellipse(45, (-42, 46), (30, 38), 20),  # stomach wall
    Ellipse(10, (-42, 46), (25, 33), 20),  # its content
    Ellipse(-950, (-56, 44), (7, 20), 10),  # gas
    Ellipse(95, (-6, 22), (9, 34), -25),  # pancreas
    Ellipse(185, (44, -62), (24, 17), 20, 0.25),  # right kidney
    Ellipse(110, (44, -62), (12, 7), 20, 0.25),
    Ellipse(185, (46, 66), (24, 17), -20, 0.25),  # left kidney
    Ellipse(110, (46, 66), (12, 7), -20, 0.25),
    Ellipse(8, (30, 78), (7, 7)),  # cyst
    Ellipse(280, (24, 6), (10, 10)),  # aorta
    Ellipse(140, (26, -22), (9, 12)),  # vena cava
    Ellipse(700, (56, 0), (19, 23)),  # vertebra, cortex
    Ellipse(220, (56, 0), (16, 20)),  # vertebra, marrow
    Ellipse(20, (82, 0), (9, 10)),  # spinal canal
    Ellipse(650, (100, 0), (14, 4)),  # spinous process
    *(Ellipse(600, (88 * np.cos(a) + 4, 140 * np.sin(a)), (4, 9), np.degrees(a)) for a in np.linspace(-2.2, 2.2, 12)),
)


def abdomen(slices: int, seed: int, size: int = 512, pixel_mm: float = 0.74, thickness_mm: float = 3.0) -> Volume:
    """A noise-free upper abdomen, (slices, size, size) HU; the seed varies body size and every organ a little.

    Raises InvalidSetting for sizes that cannot hold the body (less than 350 mm) or no slices.
    """
    if slices < 1 or size * pixel_mm < 350 or seed < 0:
        raise InvalidSetting(
            f"{slices} slices of {size * pixel_mm:.0f} mm, seed {seed}: needs a slice or more of 350 mm, seed >= 0"
        )
    rng = np.random.default_rng(seed)
    build = rng.uniform(0.92, 1.06)
    jitter = rng.normal(1.0, 0.03, (len(ABDOMEN), 4))
    planes = []
    for z in range(slices):
        along = z / max(1, slices - 1) - 0.5
        planes.append(_plane(size, pixel_mm, build, jitter, along))
    geometry = Geometry((thickness_mm, pixel_mm, pixel_mm), origin=(-0.5 * size * pixel_mm,) * 2 + (0.0,))
    return Volume(np.stack(planes), geometry, Acquisition("PHANTOM", thickness_mm, 120.0, "lowdose"))


def _plane(size: int, pixel_mm: float, build: float, jitter: NDArray[np.float64], along: float) -> HU:
    # Three sub-pixels a side give the edges the partial volume of a real reconstruction.
    fine = 3 * size
    axis = ((np.arange(fine) - (fine - 1) / 2) * pixel_mm / 3).astype(np.float32)
    y, x = axis[:, None] / build, axis[None, :] / build
    image = np.full((fine, fine), -1000.0, np.float32)
    for shape, change in zip(ABDOMEN, jitter, strict=True):
        (cy, cx), (hy, hx) = shape.centre, shape.half
        size_now = (1.0 + 2 * shape.grow * along) * change[2]
        angle = np.radians(shape.angle)
        dy, dx = y - cy * change[0], x - cx * change[1]
        u = (dy * np.cos(angle) + dx * np.sin(angle)) / (hy * size_now)
        v = (dx * np.cos(angle) - dy * np.sin(angle)) / (hx * size_now)
        image[u * u + v * v <= 1.0] = shape.hu
    return np.asarray(image.reshape(size, 3, size, 3).mean(axis=(1, 3)), np.float32)


def with_noise(volume: Volume, sd: float, dose: float, seed: int) -> Volume:
    """The phantom scanned at full dose (dose 1) or less: SD in HU at its centre is sd / sqrt(dose).

    The full-dose noise of one seed is part of the low-dose noise, as in a real pair. The noise spectrum is a ramp
    under a Hann window (a sharp kernel); its SD follows the attenuation along the rays, larger in the body's middle.
    Raises InvalidSetting for a dose outside (0, 1].
    """
    if not 0 < dose <= 1:
        raise InvalidSetting(f"dose {dose}: must be above 0 and at most 1")
    pixel = volume.geometry.pixel_mm
    out = np.empty_like(volume.hu)
    for z, plane in enumerate(volume.hu):
        full = _texture(plane.shape, pixel, np.random.default_rng((seed, z, 0)))
        missing = _texture(plane.shape, pixel, np.random.default_rng((seed, z, 1)))
        noise = full + np.sqrt(1.0 / dose - 1.0) * missing
        out[z] = np.clip(plane + sd * _thickness(plane, pixel) * noise, -1024.0, 3071.0)
    return volume.with_hu(out)


def _texture(shape: tuple[int, ...], pixel: float, rng: np.random.Generator) -> NDArray[np.float64]:
    f = np.hypot(np.fft.fftfreq(shape[0], pixel)[:, None], np.fft.rfftfreq(shape[1], pixel)[None, :])
    cut = 0.9
    amplitude = np.sqrt(f) * np.where(f < cut, 0.5 * (1 + np.cos(np.pi * f / cut)), 0.0)
    noise = np.fft.irfft2(np.fft.rfft2(rng.standard_normal(shape)) * amplitude, shape)
    return np.asarray(noise / noise.std())


def _thickness(plane: HU, pixel: float) -> NDArray[np.float64]:
    """Relative SD of the noise: 1 in the middle of the body, about a third outside."""
    body = gaussian_filter((plane > -500).astype(np.float64), 45.0 / pixel)
    return np.asarray(0.3 + 0.7 * body / body.max())
