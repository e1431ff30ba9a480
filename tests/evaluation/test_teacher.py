"""The measurement of a teacher: figures of stand-ins whose answers are known, and of the shipped one by the command."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lowdose
from lowdose import cli
from lowdose.api import evaluation_tasks
from lowdose.errors import InvalidSetting, NothingToRead
from lowdose.evaluation import noise_sensitivity as sensitivity
from lowdose.evaluation import teacher
from lowdose.evaluation.teacher_words import judge_words
from support.ct_pair import CTPair


class Embedded(NamedTuple):
    embedding: Tensor


class Sees(nn.Module):
    """Latents that are the local SD or the pixels themselves; tokens are latents without their digits."""

    def __init__(self, texture: bool) -> None:
        super().__init__()
        self.texture, self.weight, self.stride = texture, nn.Parameter(torch.zeros(())), 1

    def encode(self, image: Tensor) -> Tensor:
        if not self.texture:
            return image
        mean, square = (functional.avg_pool2d(power, 15, 15) for power in (image, image.square()))
        return (square - mean.square()).clamp(min=0).sqrt()

    def quantise(self, latents: Tensor) -> Embedded:
        return Embedded(latents)


def phantom() -> np.ndarray:
    y, x = np.mgrid[:320, :320] - 160
    return np.where(np.hypot(y, x) < 140, 50.0, -1000.0).astype(np.float32)


@pytest.fixture(scope="module")
def noise() -> np.ndarray:
    return sensitivity.simulated_noise(phantom(), (0.8, 0.8), 4)


def test_simulated_noise_has_unit_sd_in_soft_tissue_and_independent_realisations(noise: np.ndarray) -> None:
    assert noise.shape == (4, 256, 256)
    centre = noise[:, 64:192, 64:192]
    assert centre.std() == pytest.approx(1.0, abs=0.15)
    assert abs(np.corrcoef(centre[0].ravel(), centre[1].ravel())[0, 1]) < 0.05
    # More of it in the middle of a disc, where rays are longest.
    assert noise[:, 112:144, 112:144].std() > 1.1 * noise[:, 112:144, 16:48].std()


def test_a_teacher_of_texture_and_one_of_pixels(noise: np.ndarray) -> None:
    smooth = phantom()[sensitivity.middle((320, 320))]
    seen = sensitivity.noise_sensitivity(Sees(True), smooth, 20 * noise)  # type: ignore[arg-type]
    blind = sensitivity.noise_sensitivity(Sees(False), smooth, 20 * noise)  # type: ignore[arg-type]
    assert seen.systematic_share[0] > 0.9
    assert seen.noise_distance_ratio[0] < 0.2
    assert abs(blind.systematic_share[0]) < 0.05
    assert blind.noise_distance_ratio[0] == pytest.approx(2.0, abs=0.1)
    assert seen.leakage[0] < 0.1  # the window in the middle lies on both halves
    assert blind.leakage == (0.0, 0.0)


@pytest.mark.parametrize(
    ("shape", "wanted"), [((512, 512), (256, 256)), ((300, 200), (256, 192)), ((96, 96), (96, 96))]
)
def test_the_middle(shape: tuple[int, int], wanted: tuple[int, int]) -> None:
    rows, columns = sensitivity.middle(shape)
    assert (rows.stop - rows.start, columns.stop - columns.start) == wanted
    assert abs(rows.start - (shape[0] - rows.stop)) <= 1


def test_a_slice_of_air_has_no_noise_to_measure() -> None:
    with pytest.raises(NothingToRead, match="no even soft tissue"):
        sensitivity.simulated_noise(np.where(phantom() > 0, 900.0, -1000.0).astype(np.float32), (0.8, 0.8), 2)


def test_words_are_right_by_their_own_region_and_compared_with_those_of_others() -> None:
    pools = [np.array(pool, np.int64) for pool in ([1, 2], [3], [], [1], [4])]
    found = judge_words([1, 9, 5, 3, 4], pools)
    # Right: 1 in {1, 2} and 4 in {4}. Elsewhere 1 is right once of three, 3 once of three.
    assert (found.positions, found.right, found.distinct) == (4, 0.5, 4)
    assert found.shuffled == pytest.approx((1 / 3 + 0 + 1 / 3 + 0) / 4)
    assert judge_words([1], [pools[2]]).positions == 0


@pytest.mark.slow
def test_the_command_writes_what_the_function_returns(
    short_pair: CTPair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(evaluation_tasks, "TEACHER_SLICES", 1)
    measured: list[teacher.TeacherReport] = []

    def measure_once(*given: Any) -> teacher.TeacherReport:
        if not measured:
            measured.append(teacher.assess_teacher(*given, realisations=2))
        return measured[0]

    monkeypatch.setattr(evaluation_tasks, "assess_teacher", measure_once)
    options = ["--task", "teacher", "--full", str(short_pair.full), "--out", str(tmp_path / "out")]
    assert cli.run(["evaluate", *options]) == 0
    written = json.loads((tmp_path / "out" / "teacher.json").read_text())
    assert written["autoencoder"] == "leda_teacher"
    assert set(written) >= {
        "systematic_share",
        "noise_distance_ratio",
        "texture_axis_share",
        "locality",
        "high_pass_sd",
    }
    report = lowdose.evaluate(full=short_pair.full, task="teacher")
    assert report.to_dict() == written
    assert [row["features"] for row in report.table()] == ["latents", "tokens"]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"low": "a", "full": "b"}, "normal-dose series alone"),
        ({}, "give one or more --full"),
        ({"full": "b", "model": "fast"}, "--model: is not an option of --task teacher"),
        ({"full": "b", "words": True}, "--words"),
    ],
)
def test_options_of_other_tasks_are_refused(given: dict[str, object], message: str, tmp_path: Path) -> None:
    with pytest.raises((InvalidSetting, NothingToRead), match=message):
        lowdose.evaluate(
            task="teacher", **{name: str(tmp_path) if len(str(v)) == 1 else v for name, v in given.items()}
        )
