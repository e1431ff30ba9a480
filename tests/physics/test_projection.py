"""The projector: exact adjoint, exact gradients, the same numbers everywhere, and line integrals that are right."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader, Dataset

from lowdose.errors import GeometryMismatch, InvalidSetting
from lowdose.physics.geometry import Beam, FanBeam, Grid, ParallelBeam
from lowdose.physics.joseph import ray_table
from lowdose.physics.joseph_cpu import JosephCPU
from lowdose.physics.joseph_torch import JosephTorch
from lowdose.physics.projection import LinearMap, Projector

SCANS: dict[str, tuple[Beam, Grid]] = {
    "fan": (FanBeam(40, 33, 22.0), Grid((32, 32), (12.0, 12.0))),
    "fan without offset": (FanBeam(7, 32, 22.0, offset=0.0), Grid((31, 33), (12.0, 12.0))),
    "fan off-centre, not square, odd": (FanBeam(13, 31, 20.0), Grid((29, 40), (9.0, 14.0), (55.0, -31.0))),
    "fan through a slice wider than it": (FanBeam(12, 9, 20.0), Grid((24, 24), (20.0, 20.0))),
    "parallel": (ParallelBeam(40, 33, 12.0), Grid((32, 32), (12.0, 12.0))),
    "parallel off-centre, not square": (ParallelBeam(9, 20, 15.0, 0.25), Grid((17, 30), (21.0, 6.0), (-40.0, 17.0))),
    "parallel, fine rays": (ParallelBeam(8, 201, 0.7), Grid((9, 11), (13.0, 12.0))),
    "parallel, few pixels": (ParallelBeam(5, 6, 1.0), Grid((2, 2), (2.0, 2.0))),
}
BOTH = pytest.mark.parametrize("scan", SCANS.values(), ids=SCANS.keys())
TOLERANCE = {torch.float32: 1e-5, torch.float64: 1e-10}


def implementations(beam: Beam, grid: Grid) -> dict[str, LinearMap]:
    table = ray_table(beam, grid)
    return {"compiled": JosephCPU(table, grid.shape), "torch": JosephTorch(table, grid.shape)}


def pair(beam: Beam, grid: Grid, dtype: torch.dtype, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    """A random batch of slices and one of sinograms; positive, so that their product is not near nothing."""
    rng = torch.Generator().manual_seed(seed)
    x = torch.rand(2, *grid.shape, generator=rng, dtype=torch.float64)
    y = torch.rand(2, beam.views, beam.detectors, generator=rng, dtype=torch.float64)
    return x.to(dtype), y.to(dtype)


def dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return float((a.double() * b.double()).sum())


@BOTH
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_the_adjoint_is_exact(scan: tuple[Beam, Grid], dtype: torch.dtype) -> None:
    x, y = pair(*scan, dtype)
    for name, joseph in implementations(*scan).items():
        forward, back = joseph.forward(x), joseph.adjoint(y)
        assert forward.dtype == back.dtype == dtype
        assert dot(forward, y) == pytest.approx(dot(x, back), rel=TOLERANCE[dtype]), name
        assert dot(forward, y) > 0


@BOTH
@pytest.mark.parametrize("dtype", TOLERANCE)
def test_compiled_and_torch_give_the_same_numbers(scan: tuple[Beam, Grid], dtype: torch.dtype) -> None:
    x, y = pair(*scan, dtype)
    maps = implementations(*scan)
    tolerance = {torch.float32: 1e-5, torch.float64: 1e-12}[dtype]
    for way, batch in (("forward", x), ("adjoint", y)):
        a, b = (getattr(joseph, way)(batch) for joseph in maps.values())
        assert (a - b).abs().max() <= tolerance * a.abs().max(), way


@settings(max_examples=40, deadline=None)
@given(
    st.booleans(),
    st.tuples(st.integers(1, 9), st.integers(2, 20), st.floats(-0.9, 0.9)),
    st.tuples(st.integers(2, 20), st.integers(2, 20)),
    st.tuples(st.floats(0.3, 15), st.floats(0.3, 15)),
    st.tuples(st.floats(-90, 90), st.floats(-90, 90)),
)
def test_any_scan_has_one_adjoint_on_every_device(
    fan: bool,
    rays: tuple[int, int, float],
    shape: tuple[int, int],
    pixel_mm: tuple[float, float],
    centre_mm: tuple[float, float],
) -> None:
    views, detectors, offset = rays
    beam = FanBeam(views, detectors, 20.0, offset=offset) if fan else ParallelBeam(views, detectors, 9.0, offset)
    grid = Grid(shape, pixel_mm, centre_mm)
    x, y = pair(beam, grid, torch.float64)
    a, b = implementations(beam, grid).values()
    assert torch.allclose(a.forward(x), b.forward(x), rtol=1e-10, atol=1e-10)
    assert torch.allclose(a.adjoint(y), b.adjoint(y), rtol=1e-10, atol=1e-10)
    assert dot(a.forward(x), y) == pytest.approx(dot(x, a.adjoint(y)), rel=1e-10, abs=1e-10)


@pytest.mark.parametrize("beam", [FanBeam(3, 5, 60.0), ParallelBeam(3, 5, 30.0)], ids=["fan", "parallel"])
def test_gradients_of_first_and_second_order(beam: Beam) -> None:
    projector = Projector(beam, Grid((4, 5), (40.0, 35.0), (5.0, 3.0)))
    x = torch.rand(2, 4, 5, dtype=torch.float64, requires_grad=True)
    y = torch.rand(2, 3, 5, dtype=torch.float64, requires_grad=True)
    for function, batch in ((projector.forward, x), (projector.adjoint, y)):
        assert torch.autograd.gradcheck(function, batch)
        assert torch.autograd.gradgradcheck(lambda b, f=function: f(b).square(), batch)


def test_the_gradient_is_the_adjoint() -> None:
    beam, grid = SCANS["fan"]
    projector = Projector(beam, grid)
    x, y = pair(beam, grid, torch.float64)
    (gradient,) = torch.autograd.grad(projector.forward(x.requires_grad_()), x, y)
    assert torch.equal(gradient, projector.adjoint(y))


def test_batches_of_any_shape() -> None:
    beam, grid = SCANS["fan off-centre, not square, odd"]
    projector = Projector(beam, grid)
    slices = torch.rand(2, 3, *grid.shape)
    sinograms = projector.forward(slices)
    assert sinograms.shape == (2, 3, beam.views, beam.detectors)
    assert torch.equal(projector.forward(slices[1, 2]), sinograms[1, 2])
    assert projector.adjoint(sinograms).shape == slices.shape
    assert torch.equal(projector.adjoint(sinograms)[1, 2], projector.adjoint(sinograms[1, 2]))
    assert projector.forward(torch.rand(0, *grid.shape)).shape == (0, beam.views, beam.detectors)
    turned = torch.rand(grid.shape[::-1]).mT  # not contiguous
    assert torch.equal(projector.forward(turned), projector.forward(turned.contiguous()))


def test_rays_along_the_axes_are_sums_of_columns_and_rows() -> None:
    image = torch.rand(6, 7, dtype=torch.float64)
    grid = Grid((6, 7), (3.0, 2.0))
    down = Projector(ParallelBeam(2, 7, 2.0), grid).forward(image)[0]  # through pixel centres
    assert down.numpy() == pytest.approx(3.0 * image.sum(dim=0).numpy(), rel=1e-12)
    across = Projector(ParallelBeam(2, 6, 3.0), grid).forward(image)[1]
    assert across.numpy() == pytest.approx(2.0 * image.sum(dim=1).numpy(), rel=1e-12)
    between = Projector(ParallelBeam(2, 8, 2.0), grid).forward(image)[0]  # along the edges of pixels
    columns = torch.nn.functional.pad(image.sum(dim=0), (1, 1))
    assert between.numpy() == pytest.approx(1.5 * (columns[1:] + columns[:-1]).numpy(), rel=1e-12)


@pytest.mark.parametrize("name", ["fan", "parallel"])
def test_a_uniform_slice_gives_the_length_of_each_ray_in_it(name: str) -> None:
    beam = SCANS[name][0]
    grid = Grid((64, 64), (7.0, 7.0))
    found = Projector(beam, grid).forward(torch.ones(grid.shape, dtype=torch.float64))
    points, along = beam.rays()
    with np.errstate(divide="ignore"):
        near, far = ((side * 224.0 - points) / along for side in (-1, 1))
    length = np.minimum(near, far).max(axis=1), np.maximum(near, far).min(axis=1)
    expected = np.maximum(length[1] - length[0], 0).reshape(beam.views, beam.detectors)
    assert float(np.abs(found.numpy() - expected).max()) < 7.5  # half a pixel at either end
    assert float(np.abs(found.numpy() - expected).mean()) < 1.0


def test_rays_that_miss_the_slice_measure_nothing() -> None:
    projector = Projector(ParallelBeam(16, 40, 20.0), Grid((16, 16), (2.0, 2.0), (100.0, 0.0)))
    out = projector.forward(torch.ones(16, 16))
    assert (out[:, :10] == 0).all()
    assert (out[:, -10:] == 0).all()
    assert out.max() > 30


def test_what_is_no_number_spoils_its_own_rays_only() -> None:
    for joseph in implementations(*SCANS["parallel"]).values():
        for y, x in ((0, 0), (13, 14), (31, 31)):
            image = torch.ones(1, 32, 32)
            clean = joseph.forward(image)
            image[0, y, x] = float("nan")
            out = joseph.forward(image)
            spoiled = torch.isnan(out)
            assert 0 < spoiled.sum() < 0.15 * out.numel()
            assert torch.equal(out[~spoiled], clean[~spoiled])


@pytest.mark.parametrize(("radius", "pixel"), [(100.3, 0.5), (150.3, 0.74)])
def test_a_disc_is_measured_as_long_as_it_is(
    radius: float, pixel: float, chords: Callable[..., torch.Tensor], disc: Callable[..., torch.Tensor]
) -> None:
    grid = Grid((512, 512), (pixel, pixel))
    beam = ParallelBeam(90, int(1.8 * radius / 0.3), 0.3)
    truth = chords(beam, radius)
    errors = [Projector(beam, grid).forward(disc(grid, radius, blur)) / truth - 1 for blur in (0.0, 0.5 * pixel)]
    sharp, soft = (error.abs().flatten() for error in errors)
    # The rms error is far below 0.1 %, that of the worst ray is not: means over pixels at a sharp edge hold frequencies
    # beyond Nyquist, which come back as wrong ones of 0.2 to 0.5 per pixel. No interpolation can tell them from right
    # ones; to get the worst ray below 0.1 % it must damp both to half of what linear interpolation leaves. At 100.3 mm
    # strips give 0.22 %, cubic B-splines 0.12 %, a flat low-pass filter 0.15 %.
    assert sharp.square().mean().sqrt() < 4e-4
    assert sharp.quantile(0.99) < 1.2e-3
    assert sharp.max() < 2.5e-3
    # With the resolution of a CT image, in which such frequencies are weaker:
    assert soft.square().mean().sqrt() < 2e-4
    assert soft.quantile(0.99) < 7e-4
    assert soft.max() < 1.6e-3


def test_a_fan_measures_a_disc_off_the_axis(
    chords: Callable[..., torch.Tensor], disc: Callable[..., torch.Tensor]
) -> None:
    grid = Grid((200, 200), (0.8, 0.8), (30.0, -45.0))
    image = disc(Grid((200, 200), (0.8, 0.8)), 60.0, 0.4)
    beam = FanBeam(72, 368, 2.5716)
    truth = chords(beam, 60.0, (30.0, -45.0))
    found = Projector(beam, grid).forward(image)
    inside = truth > 0.44 * 120
    error = (found / truth - 1)[inside]
    assert error.square().mean().sqrt() < 1e-3
    assert error.mean().abs() < 3e-4


@pytest.mark.parametrize("name", ["fan", "parallel"])
def test_the_same_bytes_on_any_number_of_cores(name: str, threads: Callable[[int], None]) -> None:
    beam, grid = SCANS[name]
    x, y = pair(beam, grid, torch.float32)
    made = []
    for count in (1, 2, 5):
        threads(count)
        projector = Projector(beam, grid)
        made.append((projector.forward(x), projector.adjoint(y)))
    for forward, back in made[1:]:
        assert torch.equal(forward, made[0][0])
        assert torch.equal(back, made[0][1])


class Scanned(Dataset[torch.Tensor]):
    def __init__(self, projector: Projector, images: torch.Tensor) -> None:
        self.projector, self.images = projector, images

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> torch.Tensor:
        return self.projector.forward(self.images[index])


def test_it_works_in_the_forked_workers_of_a_data_loader(threads: Callable[[int], None]) -> None:
    beam, grid = SCANS["fan"]
    threads(2)  # so that this process has running threads, which a forked one has not
    scans = Scanned(Projector(beam, grid), torch.rand(4, *grid.shape))
    expected = torch.stack([scans[index] for index in range(4)])
    loader: Any = DataLoader(
        scans,
        batch_size=2,
        num_workers=2,
        timeout=60,
        multiprocessing_context="fork",
        worker_init_fn=lambda worker: torch.set_num_threads(1 + worker),
    )
    assert torch.equal(torch.cat(list(loader)), expected)


def test_what_does_not_fit_is_refused() -> None:
    projector = Projector(*SCANS["fan"])
    for wrong in (torch.rand(32, 31), torch.rand(32), torch.rand(40, 33)):
        with pytest.raises(GeometryMismatch, match="need"):
            projector.forward(wrong)
    with pytest.raises(GeometryMismatch, match="sinograms"):
        projector.adjoint(torch.rand(33, 40))
    for dtype in (torch.int16, torch.int64, torch.float16):
        with pytest.raises(GeometryMismatch, match="float32"):
            projector.forward(torch.ones(32, 32, dtype=dtype))
    with pytest.raises(InvalidSetting, match="source"):
        Projector(FanBeam(), Grid((512, 512), (2.0, 2.0)))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@BOTH
def test_cuda_gives_the_numbers_of_the_cpu(scan: tuple[Beam, Grid]) -> None:
    projector = Projector(*scan)
    for dtype, tolerance in ((torch.float32, 1e-5), (torch.float64, 1e-12)):
        x, y = pair(*scan, dtype)
        for way, batch in ((projector.forward, x), (projector.adjoint, y)):
            here, there = way(batch), way(batch.cuda())
            assert there.is_cuda
            assert (here - there.cpu()).abs().max() <= tolerance * here.abs().max()
    x = x.cuda().requires_grad_()
    (gradient,) = torch.autograd.grad(projector.forward(x), x, y.cuda())
    assert torch.allclose(gradient.cpu(), projector.adjoint(y))
