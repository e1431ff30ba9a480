"""The detector: region pooling by the formula, what a feature sees, what it learns, and gradients to the image."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from lowdose.networks.detection.boxes import box_iou
from lowdose.networks.detection.detector import LesionDetector, box_features
from lowdose.networks.detection.roi_align import SAMPLES, roi_align
from lowdose.objectives.roi import roi_perceptual


def slow_roi_align(features: Tensor, box: Tensor, stride: int, size: int) -> Tensor:
    """Mean over the samples of each bin of bilinear values, by loops (He et al. 2017, with aligned corners)."""
    top, left, bottom, right = (box / stride - 0.5).tolist()
    height, width = features.shape[-2:]
    out = torch.zeros(len(features), size, size)
    for i in range(size * SAMPLES):
        for j in range(size * SAMPLES):
            y = min(max(top + (i + 0.5) * (bottom - top) / (size * SAMPLES), 0.0), height - 1.0)
            x = min(max(left + (j + 0.5) * (right - left) / (size * SAMPLES), 0.0), width - 1.0)
            y0, x0 = min(int(y), height - 2), min(int(x), width - 2)
            b, a = y - y0, x - x0
            value = (1 - b) * ((1 - a) * features[:, y0, x0] + a * features[:, y0, x0 + 1])
            value = value + b * ((1 - a) * features[:, y0 + 1, x0] + a * features[:, y0 + 1, x0 + 1])
            out[:, i // SAMPLES, j // SAMPLES] += value / SAMPLES**2
    return out


def test_region_pooling_is_that_of_the_paper() -> None:
    features = torch.randn(2, 3, 9, 12, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[0.0, 0.0, 20.0, 20.0], [7.3, 10.1, 30.2, 46.0], [3.0, 3.0, 4.0, 5.0]])
    pooled = roi_align(features, boxes, torch.tensor([1, 2]), stride=4, size=5)
    for number, image in enumerate((0, 1, 1)):
        torch.testing.assert_close(pooled[number], slow_roi_align(features[image], boxes[number], 4, 5))


def scene() -> tuple[Tensor, Tensor, Tensor]:
    """Return three slices with noise, in which three dark discs lie, their boxes, and their number in each slice."""
    slices = 40 + 15 * torch.randn(3, 1, 128, 128, generator=torch.Generator().manual_seed(0))
    boxes = torch.tensor([[30.0, 40.0, 50.0, 60.0], [80.0, 80.0, 92.0, 92.0], [20.0, 90.0, 34.0, 104.0]])
    rows, columns = torch.meshgrid(torch.arange(128) + 0.5, torch.arange(128) + 0.5, indexing="ij")
    for image, (top, left, bottom, right) in zip((0, 1, 1), boxes.tolist(), strict=True):
        inside = (rows - (top + bottom) / 2) ** 2 + (columns - (left + right) / 2) ** 2 < ((bottom - top) / 2) ** 2
        slices[image, 0][inside] -= 50
    return slices, boxes, torch.tensor([1, 2, 0])


@pytest.mark.slow
def test_it_learns_where_lesions_are() -> None:
    torch.manual_seed(0)
    detector, (slices, boxes, counts) = LesionDetector(8, 1, 16, 64), scene()
    optimiser = torch.optim.AdamW(detector.parameters(), 1e-3)
    for step in range(100):
        losses = detector.losses(slices, boxes, counts, torch.arange(3) + 3 * step)
        optimiser.zero_grad()
        torch.stack(list(losses.values())).sum().backward()
        optimiser.step()
    found = detector.eval().detect(slices)
    for true, detections in zip(boxes.split([1, 2, 0]), found, strict=True):
        sure = detections.boxes[detections.scores > 0.7]
        assert len(sure) == len(true)
        assert bool((box_iou(true, sure) > 0.6).any(dim=1).all())


def test_losses_depend_on_the_numbers_of_the_slices_and_are_finite_without_lesions() -> None:
    torch.manual_seed(0)
    detector, (slices, boxes, counts) = LesionDetector(4, 1, 8, 16), scene()
    first, again, other = (detector.losses(slices, boxes, counts, torch.arange(3) + shift) for shift in (0, 0, 100))
    assert first["rpn_objectness"] == again["rpn_objectness"] != other["rpn_objectness"]
    none = detector.losses(slices, boxes[:0], 0 * counts, torch.arange(3))
    assert none["rpn_box"].item() == none["s2_box"].item() == 0
    assert all(bool(value.isfinite()) for value in none.values())


def test_the_roi_loss_sees_the_lesion_alone() -> None:
    torch.manual_seed(0)
    detector = LesionDetector(4, 1, 8, 16).eval().requires_grad_(False)
    full = torch.randn(1, 1, 512, 512)
    box, count = torch.tensor([[20.0, 20.0, 36.0, 40.0]]), torch.tensor([1])
    far, near = full.clone(), full.clone()
    far[..., 256:, 256:] += 100
    near[..., 24:30, 24:30] += 100
    assert float(roi_perceptual(detector, far, full, box, count)) == 0
    assert float(roi_perceptual(detector, near, full, box, count)) > 0
    empty = full.clone().requires_grad_()
    loss = roi_perceptual(detector, empty, full, box[:0], 0 * count)
    loss.backward()
    assert loss.item() == 0
    assert empty.grad is not None
    assert float(empty.grad.abs().sum()) == 0


def test_gradients_reach_the_image_through_a_frozen_detector() -> None:
    torch.manual_seed(0)
    detector, (slices, boxes, counts) = LesionDetector(4, 1, 8, 16).requires_grad_(False), scene()
    denoised = (slices + 5 * torch.randn_like(slices)).requires_grad_()
    losses = detector.losses(denoised, boxes, counts, torch.arange(3))
    (sum(losses.values()) + roi_perceptual(detector, denoised, slices, boxes, counts)).backward()  # type: ignore[union-attr]
    assert denoised.grad is not None
    assert float(denoised.grad[0].abs().sum()) > 0
    assert all(parameter.grad is None for parameter in detector.parameters())


def test_large_boxes_are_pooled_from_coarse_maps() -> None:
    maps = [torch.full((1, 1, 64 // stride, 64 // stride), float(stride)) for stride in (4, 8, 16)]
    boxes = torch.tensor([[0.0, 0.0, 10.0, 10.0], [0.0, 0.0, 33.0, 33.0], [0.0, 0.0, 64.0, 64.0]])
    assert box_features(maps, boxes, torch.tensor([3]))[:, 0, 0, 0].tolist() == [4, 8, 16]
