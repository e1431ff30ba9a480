"""Training amid neighbours: who sees whom, one dose and one augmentation for all, noise of its own for each."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lowdose import recipes
from lowdose.data.augmentation import Augmentation
from lowdose.data.noise_bank.bank import NoiseBank
from lowdose.data.noise_bank.build import build_noise_bank
from lowdose.data.noise_bank.plan import Plan, prepare_folder
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.data.pack_writer import write_pack
from lowdose.data.pairs import PairedSlice
from lowdose.data.patch_source import SliceCache
from lowdose.data.patches import CONTEXT_DROP_RATE, Patches, draw_dropped
from lowdose.data.simulated import DoseDistribution, SimulatedSlices, simulated_slices
from lowdose.data.simulated_validation import validation_pairs
from lowdose.data.slice_context import StackPosition, context_indices, stack_positions, trainable_indices
from lowdose.data.training_set import find_normal_dose, find_pairs, open_training_set
from lowdose.io.dicom import new_series
from lowdose.io.neighbours import context_of, linked_slices
from lowdose.io.source import Plane
from lowdose.models import checkpoint
from lowdose.physics.acquisition import Scans
from lowdose.training import denoiser_run
from lowdose.training.recipe import DenoiserHyperparameters, DenoiserRecipe
from lowdose.training.runner import MODEL_FILE, RunOptions
from lowdose.training.simulated_pairing import SimulatedPairing
from support.small_scanner import exposed, normal, water


@dataclass(frozen=True)
class Item:
    stack_position: StackPosition | None


def at(*positions: float | None) -> list[Plane]:
    return [Plane((4, 4), (0.7, 0.7), position=position) for position in positions]


def test_stacks_end_at_gaps() -> None:
    found = stack_positions("a", at(0, 2, 4, 10, 12, None), 2.0)
    assert [place[:2] for place in found] == [("a 0", 0), ("a 0", 1), ("a 0", 2), ("a 1", 0), ("a 1", 1), ("a 2", 0)]
    assert stack_positions("a", [], None) == []


@pytest.mark.parametrize(("thickness", "overlap"), [(2.0, 0.0), (1.0, 0.0), (None, 0.0), (2.5, 0.2), (4.0, 0.5)])
def test_thick_slices_overlap(thickness: float | None, overlap: float) -> None:
    assert [place.overlap for place in stack_positions("a", at(0, 2, 4), thickness)] == [pytest.approx(overlap)] * 3


def test_neighbours_of_each_slice() -> None:
    items = [Item(place) for place in stack_positions("a", at(0, 2, 4, 10, 12), 2.0)]
    assert context_indices(items, 0) == [[0], [1], [2], [3], [4]]
    assert context_indices(items, 1) == [[0, 0, 1], [0, 1, 2], [1, 2, 2], [3, 3, 4], [3, 4, 4]]
    assert context_indices(items, 2)[1] == [1, 0, 1, 2, 1]
    shuffled = [items[2], Item(None), items[0], items[1]]
    assert context_indices(shuffled, 1) == [[3, 0, 0], [1, 1, 1], [2, 2, 3], [2, 3, 0]]


def test_the_ends_of_a_stack_of_three_or_more_are_not_trained_on() -> None:
    run_of_three, single, two = at(0, 2, 4), at(0), at(0, 2)
    items = [
        Item(p) for n, planes in enumerate((run_of_three, single, two)) for p in stack_positions(f"{n}", planes, 2.0)
    ]
    assert trainable_indices(context_indices(items, 1)) == [1, 3, 4, 5]
    assert trainable_indices(context_indices(items, 0)) == [0, 1, 2, 3, 4, 5]


@given(st.lists(st.sampled_from([1.0, 1.0, 1.0, 2.5, None]), max_size=9), st.integers(0, 3))
def test_training_sees_what_inference_sees(steps: list[float | None], context: int) -> None:
    positions = [None if step is None else float(sum(s or 1.0 for s in steps[:n])) for n, step in enumerate(steps)]
    planes = at(*positions)
    items = [Item(place) for place in stack_positions("a", planes, None)]
    links = linked_slices(planes, None)
    assert context_indices(items, context) == [context_of(links, index, context) for index in range(len(planes))]


def beside(count: int = 3, patients: int = 1, overlap: float = 0.0) -> list[NormalDoseSlice]:
    return [
        replace(normal(10 * p + n, patient=p, hu=water(96, n)), stack_position=StackPosition(f"{p}", n, overlap))
        for p in range(1, patients + 1)
        for n in range(count)
    ]


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> NoiseBank:
    folder = tmp_path_factory.mktemp("bank") / "bank"
    slices = beside()
    prepare_folder(folder, Plan({item.key: item.shape for item in slices}, 2, "water"))
    build_noise_bank(folder, slices, exposed)
    return NoiseBank(folder)


WINDOW = (slice(30, 66), slice(30, 66))


def test_each_neighbour_has_noise_of_its_own_at_one_dose(bank: NoiseBank) -> None:
    slices = SimulatedSlices(bank, simulated_slices(beside())[0], DoseDistribution(0.1, 0.1, 0.0, 1.0, 1.0), 1)
    assert [item.key for item in slices.items] == ["key11"]  # in the middle of the three
    noise = []
    for seed in range(8):
        low, full, _ = slices[0].crop(WINDOW, np.random.default_rng(seed))
        for image, item in zip(full, beside(), strict=True):
            np.testing.assert_array_equal(image, np.rint(item.read()[WINDOW]))
        noise.append(low - full)
    spread = np.std(noise, axis=(0, 2, 3))
    assert spread.max() < 1.2 * spread.min()
    flat = np.array(noise).transpose(1, 0, 2, 3).reshape(3, -1)
    assert np.abs(np.corrcoef(flat) - np.eye(3)).max() < 0.1


@pytest.mark.parametrize("flux", [0.5, 1.0])
def test_noise_is_shared_as_far_as_slices_overlap(bank: NoiseBank, flux: float) -> None:
    """As strong as ever, in the target as in what is added to it."""
    noise: dict[float, list[np.ndarray]] = {}
    for overlap in (0.0, 0.6):
        items = simulated_slices(beside(overlap=overlap))[0]
        slices = SimulatedSlices(bank, items, DoseDistribution(0.1, 0.1, 0.0, flux, flux), 1)
        cuts = [slices[0].crop(WINDOW, np.random.default_rng(seed)) for seed in range(8)]
        truth = np.stack([np.rint(item.read()[WINDOW]) for item in beside()])
        added = [np.stack([cut.low - cut.full for cut in cuts]), np.stack([cut.full - truth for cut in cuts])]
        noise[overlap] = added[: 1 if flux == 1 else 2]
    for apart, together in zip(noise[0.0], noise[0.6], strict=True):
        flat = together.transpose(1, 0, 2, 3).reshape(3, -1)
        correlation = np.corrcoef(flat)
        assert correlation[0, 1] == pytest.approx(0.6, abs=0.1)
        assert correlation[1, 2] == pytest.approx(0.6, abs=0.1)
        np.testing.assert_allclose(flat.std(axis=1), apart.std(axis=(0, 2, 3)), rtol=0.15)


def test_a_slice_that_replaces_a_missing_neighbour_keeps_its_noise(bank: NoiseBank) -> None:
    alone = [replace(item, stack_position=None) for item in beside()]
    for items in (alone, beside()[:1]):
        low, full, _ = SimulatedSlices(bank, simulated_slices(items)[0], DoseDistribution(), 2)[0].crop(
            WINDOW, np.random.default_rng(0)
        )
        assert low.shape == full.shape == (5, 36, 36)
        assert (low == low[0]).all()
        assert (full == full[0]).all()


@pytest.mark.parametrize("context", [1, 2])
def test_without_neighbours_the_middle_is_what_it_is_without_context(bank: NoiseBank, context: int) -> None:
    alone = simulated_slices([replace(item, stack_position=None) for item in beside()])[0]
    one, more = [
        SimulatedSlices(bank, alone, DoseDistribution(), c)[1].crop(WINDOW, np.random.default_rng(4))
        for c in (0, context)
    ]
    for single, several in zip(one[:2], more[:2], strict=True):
        assert np.array_equal(single[0], several[context])


def test_all_slices_of_a_stack_get_one_augmentation(bank: NoiseBank) -> None:
    """Slices that are alike stay alike whatever is done to them."""
    same = simulated_slices(beside())[0]
    patches = Patches(
        SimulatedSlices(bank, same, DoseDistribution(full=1.0, flux_low=1.0, flux_high=1.0), 1), 32, Augmentation(), 0
    )
    for index in range(20):
        low, full, _ = patches[index].values()
        assert low.shape == (3, 32, 32)
        assert full.shape == (1, 32, 32)
        assert torch.equal(low[1:2], full)
        inner = (low - full).abs().amax(dim=(1, 2))
        assert float(inner.max()) < 40.0  # the three cylinders of water differ little


def test_context_is_dropped_at_random() -> None:
    rng, replaced = np.random.default_rng(0), np.zeros(2)
    for _ in range(2000):
        dropped = draw_dropped(3, rng)
        assert set(dropped) <= {0, 2}
        replaced += [0 in dropped, 2 in dropped]
    np.testing.assert_allclose(replaced / 2000, CONTEXT_DROP_RATE, atol=0.015)
    state = rng.bit_generator.state
    assert draw_dropped(1, rng) == []
    assert rng.bit_generator.state == state  # of a single slice nothing is drawn


def test_pairs_come_with_their_neighbours() -> None:
    def pair(number: int) -> PairedSlice:
        low = np.full((48, 48), 10.0 * number, np.float32)
        return PairedSlice(1, f"{number}", 0.8, 3.0, lambda: (low, low + 1), stack_position=StackPosition("a", number))

    cache = SliceCache([pair(n) for n in range(4)], 1)
    assert [item.key for item in cache.items] == ["1", "2"]
    low, full, _ = cache[1].crop(WINDOW, np.random.default_rng(0))
    assert low[:, 0, 0].tolist() == [10, 20, 30]
    assert full[:, 0, 0].tolist() == [11, 21, 31]
    items = [pair(n) for n in range(4)]
    groups = denoiser_run.FROM_FOLDERS.held_out(items, DenoiserHyperparameters(), 1, [].append)
    assert [[item.key for item in group] for group in groups] == [["0", "1", "2"], ["1", "2", "3"]]
    assert denoiser_run.FROM_FOLDERS.held_out(items, DenoiserHyperparameters(), 0, [].append) == [
        [item] for item in items
    ]


def test_pairs_to_judge_on_have_noise_of_their_own_at_one_dose() -> None:
    items = simulated_slices(beside())[0]
    ((one, two, three),), told = validation_pairs([[(item, exposed([item.normal])[0]) for item in items]], seed=3)
    assert told == []
    noise = [low - full for low, full in (item.read() for item in (one, two, three))]
    spread = [float(image[30:66, 30:66].std()) for image in noise]
    assert max(spread) < 1.3 * min(spread)
    assert abs(np.corrcoef([image[30:66, 30:66].ravel() for image in noise])[0, 1]) < 0.2
    alone = [(items[0], exposed([items[0].normal])[0])] * 3
    ((first, second, third),), _ = validation_pairs([alone], seed=3)
    assert first is second is third


def recipe(**changes: object) -> DenoiserRecipe:
    tiny = {"steps": 2, "batch": 2, "patch": 32, "warmup": 1, "validate_every": 2, "checkpoint_every": 2}
    found = recipes.get_recipe("unet")
    network = replace(found.network, settings={"width": 4, "levels": 2, "slices": 3})
    return replace(found, network=network, hyperparameters=DenoiserHyperparameters(**{**tiny, **changes}))  # type: ignore[arg-type]


@pytest.mark.parametrize("bank_slices", [0, 4])
def test_a_run_with_context(tmp_path: Path, bank_slices: int) -> None:
    slices = simulated_slices(beside(3, patients=3))[0]
    options = RunOptions(device="cpu", precision="32-true")
    source = SimulatedPairing(exposed, "water")
    asked = recipe(bank_slices=bank_slices)
    assert denoiser_run.train_denoiser(
        "unet", asked, slices, tmp_path, options, lambda _: None, lambda *_: None, source
    )
    model = checkpoint.load_denoiser(str(tmp_path / MODEL_FILE))
    assert model.denoiser.context == 1
    assert model.training["slices"] == (1 if bank_slices else 2)
    assert len(NoiseBank(tmp_path / "noise-bank").plan.slices) == (3 if bank_slices else 6)
    assert "validation/psnr_gain" in (tmp_path / "log.csv").read_text()


def test_neighbours_are_known_from_folders_and_packs(tmp_path: Path, abdomen: Scans) -> None:
    for patient in ("1", "2"):
        for dose, volume in (("low", abdomen.low), ("full", abdomen.full)):
            new_series.write_new_series(volume, tmp_path / "in" / patient / dose, description=dose, patient=patient)
    write_pack([tmp_path / "in"], tmp_path / "out.pack", "folders", "full")
    with ExitStack() as stack:
        for root in (tmp_path / "in", tmp_path / "out.pack"):
            for find in (find_pairs, find_normal_dose):
                items = open_training_set(stack, [root], find=find).items
                seen = context_indices(items, 1)
                assert seen == [[0, 0, 1], [0, 1, 2], [1, 2, 2], [3, 3, 4], [3, 4, 5], [4, 5, 5]], (root, find)


@pytest.fixture(scope="module")
def abdomen() -> Scans:
    from support.scanned_patients import scan

    return scan(1, 3, 64, 5.0)
