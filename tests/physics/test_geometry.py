"""Rays run where the convention says, and scans that cannot be are refused with the number that is wrong."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from lowdose.errors import InvalidSetting
from lowdose.physics.geometry import Beam, FanBeam, Grid, ParallelBeam, check_within


def test_pixels_lie_about_the_centre() -> None:
    y, x = Grid((3, 4), (2.0, 0.5), (10.0, -1.0)).axes()
    assert y == pytest.approx([8, 10, 12])
    assert x == pytest.approx([-1.75, -1.25, -0.75, -0.25])


@pytest.mark.parametrize("beam", [FanBeam(7, 9, 4.0), ParallelBeam(7, 9, 2.0, 0.25)], ids=["fan", "parallel"])
def test_every_ray_passes_the_axis_where_its_detector_says(beam: Beam) -> None:
    points, along = beam.rays()
    assert np.hypot(*along.T) == pytest.approx(np.ones(63))
    beside = points[:, 1] * along[:, 0] - points[:, 0] * along[:, 1]
    expected = beam.source_mm * np.sin(beam.fans()) if isinstance(beam, FanBeam) else beam.positions()
    assert beside.reshape(7, 9) == pytest.approx(np.broadcast_to(expected, (7, 9)))


def test_the_first_view_looks_down_the_columns_and_detectors_count_up_with_x() -> None:
    fan = FanBeam(4, 11, 5.0)
    points, along = (a.reshape(4, 11, 2) for a in fan.rays())
    assert points[0, 0] == pytest.approx([-595, 0])
    assert points[1, 0] == pytest.approx([0, 595])  # a quarter of a turn on
    assert along[0, 5, 0] > 0.99
    assert (np.diff(along[0, :, 1]) > 0).all()
    points, along = (a.reshape(4, 11, 2) for a in ParallelBeam(4, 11, 5.0).rays())
    assert along[0] == pytest.approx(np.tile([1.0, 0.0], (11, 1)))
    assert (np.diff(points[0, :, 1]) > 0).all()


def test_a_view_of_a_fan_is_a_parallel_one_at_its_angle_less_the_ray_s() -> None:
    fan = FanBeam(36, 21, 6.0)
    points, along = (a.reshape(36, 21, 2) for a in fan.rays())
    angle, ray = fan.angles()[5] - fan.fans()[17], fan.fans()[17]
    assert along[5, 17] == pytest.approx([np.cos(angle), -np.sin(angle)])
    s = points[5, 17] @ np.array([np.sin(angle), np.cos(angle)])
    assert s == pytest.approx(fan.source_mm * np.sin(ray))


def test_the_quarter_offset_interleaves_opposite_rays() -> None:
    fans = FanBeam(offset=0.25).fans()
    both = np.sort(np.concatenate([fans, -fans]))
    assert np.diff(both)[2:-2] == pytest.approx(FanBeam().fan_step / 2)


def test_the_default_is_a_field_of_502_mm_in_steps_of_0_7_mm() -> None:
    assert 2 * FanBeam().radius_mm == pytest.approx(502, abs=1)
    assert FanBeam().sample_mm == pytest.approx(0.7047, abs=1e-4)
    assert ParallelBeam(10, 11, 2.0, 0.25).radius_mm == pytest.approx(9.5)


@pytest.mark.parametrize(
    "make",
    [
        lambda: FanBeam(views=0),
        lambda: FanBeam(detectors=1),
        lambda: FanBeam(detectors=-5),
        lambda: FanBeam(pitch_mm=-1.0),
        lambda: FanBeam(pitch_mm=float("nan")),
        lambda: FanBeam(source_mm=0.0),
        lambda: FanBeam(detector_mm=500.0),  # before the axis
        lambda: FanBeam(detectors=2000),  # a fan of 136 degrees
        lambda: FanBeam(offset=float("nan")),
        lambda: FanBeam(offset=400.0),
        lambda: ParallelBeam(views=0),
        lambda: ParallelBeam(sample_mm=0.0),
        lambda: ParallelBeam(sample_mm=float("inf")),
        lambda: ParallelBeam(offset=float("nan")),
        lambda: Grid((1, 5), (1.0, 1.0)),
        lambda: Grid((-4, 5), (1.0, 1.0)),
        lambda: Grid((4, 5), (1.0, -1.0)),
        lambda: Grid((4, 5), (float("nan"), 1.0)),
        lambda: Grid((4, 5), (1.0, 1.0), (float("nan"), 0.0)),
    ],
)
def test_what_cannot_be_is_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidSetting):
        make()


def test_a_slice_must_end_before_the_source() -> None:
    check_within(FanBeam(), Grid((512, 512), (1.0, 1.0)))
    check_within(ParallelBeam(), Grid((512, 512), (5.0, 5.0)))
    with pytest.raises(InvalidSetting, match="source at 595"):
        check_within(FanBeam(), Grid((512, 512), (2.0, 2.0)))
    with pytest.raises(InvalidSetting, match="centre"):
        check_within(FanBeam(), Grid((512, 512), (1.0, 1.0), (0.0, 400.0)))
