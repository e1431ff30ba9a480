"""Filtered back-projection: HU that are right, in the right place, with an exact adjoint, alike on every device."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import center_of_mass, gaussian_filter

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.physics.backprojection import backprojection_table
from lowdose.physics.backprojection_cpu import BackProjectionCPU
from lowdose.physics.backprojection_torch import BackProjectionTorch
from lowdose.physics.fbp import FBP
from lowdose.physics.geometry import Beam, FanBeam, Grid, ParallelBeam
from lowdose.physics.kernels import B30, D45, RAMP, SHEPP_LOGAN
from lowdose.physics.projection import LinearMap, Projector
from lowdose.physics.scanner import WATER

KERNELS = {"ramp": RAMP, "Shepp-Logan": SHEPP_LOGAN, "B30": B30, "D45": D45}
BEAMS: dict[str, Beam] = {"fan": FanBeam(), "parallel": ParallelBeam()}
SCANS: dict[str, tuple[Beam, Grid, int]] = {
    "fan": (FanBeam(20, 33, 22.0), Grid((24, 24), (12.0, 12.0)), 1),
    "fan, upsampled": (FanBeam(9, 32, 22.0, offset=0.0), Grid((21, 23), (12.0, 12.0)), 4),
    "fan off-centre, not square, odd": (FanBeam(13, 31, 20.0), Grid((29, 20), (9.0, 14.0), (55.0, -31.0)), 1),
    "fan in a slice wider than it": (FanBeam(12, 9, 20.0), Grid((24, 24), (20.0, 20.0)), 2),
    "parallel": (ParallelBeam(20, 33, 12.0), Grid((24, 24), (12.0, 12.0)), 1),
    "parallel off-centre, not square": (ParallelBeam(9, 20, 15.0, 0.25), Grid((17, 30), (21.0, 6.0), (-40.0, 9.0)), 3),
}
BOTH = pytest.mark.parametrize("scan", SCANS.values(), ids=SCANS.keys())


def implementations(beam: Beam, grid: Grid, upsampling: int) -> dict[str, LinearMap]:
    table = backprojection_table(beam, grid, upsampling)
    return {"compiled": BackProjectionCPU(table), "torch": BackProjectionTorch(table)}


def pair(beam: Beam, grid: Grid, upsampling: int, dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    rng = torch.Generator().manual_seed(1)
    lines = torch.rand(2, beam.views, beam.detectors * upsampling, generator=rng, dtype=torch.float64)
    return lines.to(dtype), torch.rand(2, *grid.shape, generator=rng, dtype=torch.float64).to(dtype)


def dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() * b.double()).sum())


@BOTH
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-10)])
def test_the_adjoint_of_back_projection_is_exact(
    scan: tuple[Beam, Grid, int], dtype: torch.dtype, tolerance: float
) -> None:
    lines, images = pair(*scan, dtype)
    for name, back in implementations(*scan).items():
        there, again = back.forward(lines), back.adjoint(images)
        assert there.dtype == again.dtype == dtype
        assert again.shape == lines.shape
        assert dot(there, images) == pytest.approx(dot(lines, again), rel=tolerance), name


@BOTH
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_compiled_and_torch_give_the_same_numbers(
    scan: tuple[Beam, Grid, int], dtype: torch.dtype, tolerance: float
) -> None:
    lines, images = pair(*scan, dtype)
    a, b = implementations(*scan).values()
    for one, other in ((a.forward(lines), b.forward(lines)), (a.adjoint(images), b.adjoint(images))):
        assert (one - other).abs().max() <= tolerance * one.abs().max()


@settings(max_examples=40, deadline=None)
@given(
    st.booleans(),
    st.tuples(st.integers(1, 9), st.integers(2, 20), st.floats(-0.9, 0.9)),
    st.tuples(st.integers(2, 20), st.integers(2, 20)),
    st.tuples(st.floats(0.3, 15), st.floats(0.3, 15)),
    st.tuples(st.floats(-90, 90), st.floats(-90, 90)),
    st.integers(1, 4),
)
def test_any_scan_has_one_adjoint_on_every_device(
    fan: bool,
    rays: tuple[int, int, float],
    shape: tuple[int, int],
    pixel_mm: tuple[float, float],
    centre_mm: tuple[float, float],
    upsampling: int,
) -> None:
    views, detectors, offset = rays
    beam = FanBeam(views, detectors, 20.0, offset=offset) if fan else ParallelBeam(views, detectors, 9.0, offset)
    scan = beam, Grid(shape, pixel_mm, centre_mm), upsampling
    lines, images = pair(*scan, torch.float64)
    a, b = implementations(*scan).values()
    assert torch.allclose(a.forward(lines), b.forward(lines), rtol=1e-9, atol=1e-12)
    assert torch.allclose(a.adjoint(images), b.adjoint(images), rtol=1e-9, atol=1e-12)
    assert dot(a.forward(lines), images) == pytest.approx(dot(lines, a.adjoint(images)), rel=1e-10, abs=1e-12)


@pytest.mark.parametrize("beam", [FanBeam(3, 5, 60.0), ParallelBeam(3, 5, 30.0)], ids=["fan", "parallel"])
def test_gradients_of_first_and_second_order(beam: Beam) -> None:
    fbp = FBP(beam, Grid((2, 3), (40.0, 35.0)), B30, upsampling=2)
    sinogram = torch.rand(3, 5, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda s: 1e3 * fbp(s), sinogram)
    assert torch.autograd.gradgradcheck(lambda s: (1e3 * fbp(s)).square(), sinogram)


def test_batches_of_any_shape() -> None:
    beam, grid, _ = SCANS["fan off-centre, not square, odd"]
    fbp = FBP(beam, grid, D45)
    sinograms = torch.rand(2, 3, beam.views, beam.detectors)
    slices = fbp(sinograms)
    assert slices.shape == (2, 3, *grid.shape)
    assert torch.allclose(fbp(sinograms[1, 2]), slices[1, 2], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("beam", BEAMS.values(), ids=BEAMS.keys())
def test_water_is_0_hu(
    beam: Beam, chords: Callable[..., torch.Tensor], disc: Callable[..., torch.Tensor], water: Callable[..., np.ndarray]
) -> None:
    grid, fine = Grid((65, 65), (2.6, 2.6)), Grid((512, 512), (0.5, 0.5))
    scans = {"closed form": chords(beam, 100.0), "projected": Projector(beam, fine).forward(disc(fine, 100.0))}
    for kind, lengths in scans.items():
        for name, kernel in KERNELS.items():
            hu = water(FBP(beam, grid, kernel)(WATER * lengths), grid, 80.0)
            assert abs(hu.mean()) < 0.3, (kind, name)
            assert abs(hu).max() < 2, (kind, name)
            # Where interpolation does not blur, kernels that pass Nyquist ring about a perfect edge: most on the axis,
            # where all views ring alike.
            hu = water(FBP(beam, grid, kernel, upsampling=4)(WATER * lengths), grid, 80.0)
            assert abs(hu.mean()) < 0.3, (kind, name)
            assert hu.std() < 2, (kind, name)
            assert abs(hu).max() < (2 if kernel is B30 else 30), (kind, name)


@pytest.mark.parametrize("upsampling", [1, 4])
@pytest.mark.parametrize(
    "beam",
    [FanBeam(360, 368, 2.5716), FanBeam(360, 368, 2.5716, offset=-0.25), ParallelBeam(360, 368, 1.4, 0.25)],
    ids=["fan", "fan, other offset", "parallel"],
)
def test_a_disc_is_reconstructed_where_it_lies(
    beam: Beam, upsampling: int, chords: Callable[..., torch.Tensor]
) -> None:
    sinogram = chords(beam, 8.0, (31.0, -74.0))
    y, x = 20.0, -90.0
    image = FBP(beam, Grid((90, 80), (0.6, 0.9), (y, x)), B30, upsampling)(sinogram).numpy()
    at = np.array(center_of_mass(np.where(image > 0.1, image, 0)))
    assert (at - [44.5, 39.5]) * [0.6, 0.9] + [y, x] == pytest.approx([31.0, -74.0], abs=0.03)
    assert image.max() == pytest.approx(1, abs=0.2)


@pytest.mark.parametrize("beam", [FanBeam(360, 368, 2.5716), ParallelBeam(360, 368, 1.4)], ids=["fan", "parallel"])
def test_it_undoes_projection(beam: Beam) -> None:
    grid = Grid((96, 80), (2.0, 2.5), (10.0, -15.0))
    blobs = gaussian_filter(np.random.default_rng(0).normal(size=grid.shape), 3)
    y, x = grid.axes()
    blobs *= np.hypot(y[:, None] - 10, x + 15) < 75
    image = torch.from_numpy(blobs / blobs.std())
    again = FBP(beam, grid, RAMP)(Projector(beam, grid).forward(image))
    assert float((again - image).square().mean().sqrt()) < 0.07
    assert float((again - image.flip(1)).square().mean().sqrt()) > 1  # what a wrong sense of rotation gives


@pytest.mark.parametrize("beam", [FanBeam(5, 40, 20.0), ParallelBeam(5, 41, 9.0)], ids=["fan", "parallel"])
def test_finer_lines_pass_through_the_coarse_ones(beam: Beam) -> None:
    sinogram = torch.rand(beam.views, beam.detectors, dtype=torch.float64)
    grid = Grid((8, 8), (1.0, 1.0))
    coarse, fine = (FBP(beam, grid, RAMP, upsampling).filtered(sinogram) for upsampling in (1, 4))
    assert fine.shape == (beam.views, 4 * beam.detectors)
    assert torch.allclose(fine[:, ::4], coarse, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize(
    ("beam", "upsampling"),
    [(ParallelBeam(4, 9, 2.0), 1), (FanBeam(4, 9, 4.0), 3), (ParallelBeam(1, 5000, 0.01), 4)],
    ids=["parallel", "fan", "more samples than float32 has places for"],
)
def test_pixels_that_no_ray_meets_get_nothing(beam: Beam, upsampling: int) -> None:
    grid = Grid((80, 80), (3.0, 3.0))
    _, x = grid.axes()
    for back in implementations(beam, grid, upsampling).values():
        image = back.forward(torch.ones(1, beam.views, beam.detectors * upsampling))
        assert (image[0, :9, 24:29] == 0).all()
        if beam.views == 1:
            assert (image[0, :, np.abs(x) > beam.radius_mm + 1] == 0).all()
        else:
            assert image[0, 40, 40] > 0
        assert (back.adjoint(torch.ones(1, *grid.shape)) >= 0).all()


def test_the_same_bytes_on_any_number_of_cores(threads: Callable[[int], None]) -> None:
    beam, grid, upsampling = SCANS["fan, upsampled"]
    lines, images = pair(beam, grid, upsampling, torch.float32)
    made = []
    for count in (1, 2, 5):
        threads(count)
        back = BackProjectionCPU(backprojection_table(beam, grid, upsampling))
        made.append((back.forward(lines), back.adjoint(images)))
    for one in made[1:]:
        assert torch.equal(one[0], made[0][0])
        assert torch.equal(one[1], made[0][1])


def test_what_does_not_fit_is_refused() -> None:
    beam, grid, _ = SCANS["fan"]
    fbp = FBP(beam, grid, RAMP)
    for wrong in (torch.rand(20, 32), torch.rand(20), torch.rand(33, 20)):
        with pytest.raises(GeometryMismatch, match="need"):
            fbp(wrong)
    with pytest.raises(GeometryMismatch, match="float32"):
        fbp(torch.ones(20, 33, dtype=torch.int32))
    for upsampling in (0, -1):
        with pytest.raises(InvalidSetting, match="upsampling"):
            FBP(beam, grid, RAMP, upsampling)
    with pytest.raises(InvalidSetting, match="source"):  # a pixel under the source has no weight
        FBP(FanBeam(), Grid((3, 3), (595.0, 595.0)), RAMP)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@BOTH
def test_cuda_gives_the_numbers_of_the_cpu(scan: tuple[Beam, Grid, int]) -> None:
    beam, grid, upsampling = scan
    fbp = FBP(beam, grid, B30, upsampling)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        sinograms = torch.rand(2, beam.views, beam.detectors, dtype=dtype)
        here, there = fbp(sinograms), fbp(sinograms.cuda())
        assert there.is_cuda
        assert (here - there.cpu()).abs().max() <= tolerance * here.abs().max()
