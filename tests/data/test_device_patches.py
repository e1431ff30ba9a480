"""Patches cut on the device are those cut on the CPU, whatever is varied about them."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from lowdose.batch import PairedBatch
from lowdose.data.augmentation import Augmentation
from lowdose.data.batches import batches
from lowdose.data.device_patches import DevicePatches, cosines, planes_bytes
from lowdose.data.noise_bank.bank import NoiseBank
from lowdose.data.noise_bank.build import build_noise_bank
from lowdose.data.noise_bank.plan import Plan, prepare_folder
from lowdose.data.patches import Patches
from lowdose.data.simulated import DoseDistribution, SimulatedSlices, simulated_slices
from lowdose.data.slice_context import StackPosition
from support.small_scanner import exposed, normal

SIZE = 24
UNVARIED = Augmentation(gain_low=1.0, gain_high=1.0, share=0.0)
VARIED = Augmentation(gain_low=1.0, gain_high=1.0, pixel_low=1.5, pixel_high=5.0, cutoff_low=0.1, cutoff_high=0.3)
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> NoiseBank:
    """Slices of two matrix sizes; three are neighbours whose noise overlaps, and one has another kernel."""
    folder: Path = tmp_path_factory.mktemp("device") / "bank"
    slices = slices_of_two_sizes()
    prepare_folder(folder, Plan({item.key: item.shape for item in slices}, 2, "water"))
    build_noise_bank(folder, slices, exposed)
    return NoiseBank(folder)


def slices_of_two_sizes() -> list:
    stack = [replace(normal(number), stack_position=StackPosition("stack", number, 0.4)) for number in range(3)]
    return [*stack, normal(3, size=80, patient=2)]


def device_batches(patches: DevicePatches, *steps: int, workers: int = 0) -> Iterator[PairedBatch]:
    return map(patches.compute, batches(patches.recipes, *steps, workers=workers))


def made(bank: NoiseBank, context: int, augmentation: Augmentation, **doses: float) -> Patches:
    items, _ = simulated_slices(slices_of_two_sizes())
    return Patches(SimulatedSlices(bank, items, DoseDistribution(**doses), context), SIZE, augmentation, 7)


@pytest.mark.parametrize("context", [0, 1])
@pytest.mark.parametrize("augmentation", [UNVARIED, VARIED])
def test_each_patch_is_that_of_the_cpu(bank: NoiseBank, context: int, augmentation: Augmentation) -> None:
    patches = made(bank, context, augmentation)
    steps = range(3, 8)
    expected = list(batches(patches, 16, steps.start, steps.stop))
    found = list(device_batches(DevicePatches(patches, CPU), 16, steps.start, steps.stop))
    assert len(expected) == len(found) == len(steps)
    for one, other in zip(expected, found, strict=True):
        assert one.low.shape == other.low.shape == (16, 2 * context + 1, SIZE, SIZE)
        for wanted, given in zip(one, other, strict=True):
            torch.testing.assert_close(given, wanted, rtol=0, atol=0.02)


def test_without_noise_and_variation_pixels_are_the_slice_to_rounding(bank: NoiseBank) -> None:
    patches = made(bank, 0, UNVARIED, full=1.0, flux_low=1.0, flux_high=1.0)
    (batch,) = device_batches(DevicePatches(patches, CPU), 32, 0, 1)
    torch.testing.assert_close(batch.low, batch.full)
    assert torch.equal(batch.dose, torch.ones(32))
    torch.testing.assert_close(batch.full, batch.full.round(), rtol=0, atol=2e-3)


def test_added_noise_has_the_moments_of_the_cpu(bank: NoiseBank) -> None:
    patches = made(bank, 0, UNVARIED, low=0.25, high=0.25, full=0.0)
    noise = torch.cat([batch.low - batch.full for batch in device_batches(DevicePatches(patches, CPU), 64, 0, 4)])
    same = torch.cat([batch.low - batch.full for batch in batches(patches, 64, 0, 4)])
    assert float(noise.std()) == pytest.approx(float(same.std()), rel=1e-4)
    assert float(noise.mean()) == pytest.approx(float(same.mean()), abs=1e-3)
    assert float(noise.std()) > 5


def test_processes_share_a_step_as_on_the_cpu(bank: NoiseBank) -> None:
    patches = DevicePatches(made(bank, 0, VARIED), CPU)
    (whole,) = device_batches(patches, 8, 5, 6)
    halves = [next(device_batches(patches, 4, 5, 6, rank, 2)) for rank in range(2)]
    torch.testing.assert_close(torch.cat([half.low for half in halves]), whole.low)


def test_recipes_are_made_without_the_planes(bank: NoiseBank) -> None:
    patches = DevicePatches(made(bank, 1, VARIED), CPU)
    sent = copy.copy(patches)  # as it is pickled
    assert sent.planes is None
    assert sent[3] == patches[3]
    assert planes_bytes(patches.slices) == 2 * len(patches.planes)


def test_cosines_are_orthonormal_and_end_at_their_length() -> None:
    matrices = cosines(torch.tensor([5.0, 224.0]), 224)
    for matrix, length in zip(matrices, (5, 224), strict=True):
        np.testing.assert_allclose(matrix @ matrix.T, np.diag((np.arange(224) < length).astype(float)), atol=2e-6)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs CUDA")
def test_cuda_patches_are_those_of_the_cpu(bank: NoiseBank) -> None:
    patches = made(bank, 1, VARIED)
    expected = list(batches(patches, 16, 0, 4))
    found = list(device_batches(DevicePatches(patches, torch.device("cuda")), 16, 0, 4, workers=2))
    for one, other in zip(expected, found, strict=True):
        for wanted, given in zip(one, other, strict=True):
            torch.testing.assert_close(given.cpu(), wanted, rtol=0, atol=0.02)
