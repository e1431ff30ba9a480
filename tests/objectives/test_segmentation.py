"""Cross-entropy and Dice: closed forms, the formulas written out pixel by pixel, and what nobody annotated."""

from __future__ import annotations

import math
from collections import Counter

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from lowdose.batch import UNKNOWN
from lowdose.objectives.segmentation import SMOOTH, segmentation_terms

B, K, H, W = 2, 5, 3, 4


def drawn(seed: int, partly: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Logits, classes, annotated; partly: the first slice lacks two classes, whose pixels are UNKNOWN."""
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(B, K, H, W, generator=generator)
    classes = torch.randint(0, K, (B, H, W), generator=generator)
    annotated = torch.ones(B, K, dtype=torch.bool)
    if partly:
        annotated[0, torch.randperm(K, generator=generator)[:2]] = False
        lacking = ~annotated[torch.arange(B)[:, None, None], classes]
        classes[lacking] = UNKNOWN
    return logits, classes, annotated


def slowly(logits: Tensor, classes: Tensor, annotated: Tensor) -> tuple[float, float]:
    """Marginal cross-entropy and one minus Dice, pixel by pixel."""
    shares = logits.double().softmax(1)
    losses: list[float] = []
    both, seen, wanted = ([0.0] * K for _ in range(3))
    for b in range(B):
        for k in range(K):
            if annotated[b, k]:
                seen[k] += float(shares[b, k].sum())
        for y in range(H):
            for x in range(W):
                true = int(classes[b, y, x])
                if true == UNKNOWN:
                    others = [k for k in range(K) if not annotated[b, k]]
                    losses.append(-math.log(sum(float(shares[b, k, y, x]) for k in others)))
                else:
                    losses.append(-math.log(float(shares[b, true, y, x])))
                    both[true] += float(shares[b, true, y, x])
                    wanted[true] += 1
    dice = [(2 * both[k] + SMOOTH) / (seen[k] + wanted[k] + SMOOTH) for k in range(K) if wanted[k]]
    counts = Counter(classes.flatten().tolist())
    weights = [1 / math.sqrt(counts[k]) for k in classes.flatten().tolist()]
    balanced = sum(w * loss for w, loss in zip(weights, losses, strict=True)) / sum(weights)
    return balanced, 1 - sum(dice) / max(1, len(dice))


@given(seed=st.integers(0, 10**6), partly=st.booleans())
@settings(max_examples=40, deadline=None)
def test_both_terms_written_out_slowly(seed: int, partly: bool) -> None:
    case = drawn(seed, partly)
    terms = segmentation_terms(*case)
    expected = slowly(*case)
    assert list(terms) == ["cross_entropy", "dice"]
    assert float(terms["cross_entropy"]) == pytest.approx(expected[0], rel=1e-5)
    assert float(terms["dice"]) == pytest.approx(expected[1], abs=1e-5)


@given(seed=st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_where_all_is_annotated_it_is_the_weighted_cross_entropy(seed: int) -> None:
    logits, classes, annotated = drawn(seed, partly=False)
    found = segmentation_terms(logits, classes, annotated)["cross_entropy"]
    weight = torch.bincount(classes.flatten(), minlength=K).clamp(min=1).float().rsqrt()
    torch.testing.assert_close(found, functional.cross_entropy(logits, classes, weight=weight))


def test_certain_and_right_costs_nothing() -> None:
    _, classes, annotated = drawn(0, partly=False)
    logits = 50.0 * functional.one_hot(classes, K).permute(0, 3, 1, 2)
    for value in segmentation_terms(logits, classes, annotated).values():
        assert abs(float(value)) < 1e-6


def test_knowing_nothing_costs_the_logarithm_of_the_number_of_classes() -> None:
    _, classes, annotated = drawn(0, partly=False)
    found = segmentation_terms(torch.zeros(B, K, H, W), classes, annotated)
    assert float(found["cross_entropy"]) == pytest.approx(math.log(K))


@pytest.mark.parametrize("lacking", [1, 2, 4])
def test_an_unknown_pixel_costs_what_its_classes_have_together(lacking: int) -> None:
    annotated = torch.ones(B, K, dtype=torch.bool)
    annotated[:, :lacking] = False
    classes = torch.full((B, H, W), UNKNOWN)
    found = segmentation_terms(torch.zeros(B, K, H, W), classes, annotated)
    assert float(found["cross_entropy"]) == pytest.approx(-math.log(lacking / K))
    # No class occurs: there is nothing that Dice could be the mean of.
    assert float(found["dice"]) == 1.0


def test_which_unannotated_class_it_is_does_not_matter() -> None:
    logits, classes, annotated = drawn(3, partly=True)
    first, second = (~annotated[0]).nonzero()[:, 0].tolist()
    swapped = logits.clone()
    swapped[0, first], swapped[0, second] = logits[0, second], logits[0, first]
    for name, value in segmentation_terms(logits, classes, annotated).items():
        torch.testing.assert_close(segmentation_terms(swapped, classes, annotated)[name], value)


def test_an_organ_seen_where_it_was_looked_for_and_not_found_costs_dice() -> None:
    annotated = torch.ones(1, K, dtype=torch.bool)
    annotated[0, 0] = False
    classes = torch.full((1, H, W), UNKNOWN)
    classes[0, 0, 0] = 1
    right = torch.zeros(1, K, H, W)
    right[0, 0] = 30.0
    right[0, :, 0, 0] = torch.tensor([0.0, 60.0, 0.0, 0.0, 0.0])
    wrong = right.clone()
    wrong[0, 1, 2, 2] = 60.0
    assert float(segmentation_terms(right, classes, annotated)["dice"]) == pytest.approx(0.0, abs=1e-6)
    # One pixel is right, one too many is seen: (2 + 1) / (2 + 1 + 1).
    assert float(segmentation_terms(wrong, classes, annotated)["dice"]) == pytest.approx(0.25, abs=1e-6)


def test_dice_of_a_class_counts_only_slices_where_it_was_looked_for() -> None:
    logits, classes, annotated = drawn(5, partly=True)
    lacking = int((~annotated[0]).nonzero()[0])
    classes[1] = lacking  # it occurs, in the other slice
    sure = logits.clone()
    sure[0, lacking] += 100.0  # says it everywhere in the slice where nobody looked
    only = torch.stack([torch.full_like(classes[0], UNKNOWN), classes[1]])
    before = segmentation_terms(logits, only, annotated)["dice"]
    torch.testing.assert_close(segmentation_terms(sure, only, annotated)["dice"], before)


@pytest.mark.parametrize("size", [1.0, 1e3, 1e5])
def test_gradients_are_finite_and_point_downhill(size: float) -> None:
    logits, classes, annotated = drawn(1, partly=True)
    logits = (size * logits).requires_grad_()
    loss = torch.stack(list(segmentation_terms(logits, classes, annotated).values())).sum()
    loss.backward()
    assert loss.isfinite()
    assert logits.grad is not None
    assert logits.grad.isfinite().all()
    assert logits.grad.abs().max() > 0
    down = logits.detach() - 1e-3 * size * logits.grad / logits.grad.norm()
    assert torch.stack(list(segmentation_terms(down, classes, annotated).values())).sum() < loss


def test_half_precision_logits_are_summed_in_float32() -> None:
    logits, classes, annotated = drawn(2, partly=True)
    found = segmentation_terms(logits.bfloat16(), classes, annotated)
    expected = segmentation_terms(logits.bfloat16().float(), classes, annotated)
    for name, value in found.items():
        assert value.dtype == torch.float32
        assert torch.equal(value, expected[name])
