"""Slices with one bright disc in soft tissue, and detectors of it: one that is told, one that has learned it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch

from lowdose.boxes import mask_box
from lowdose.image import HU, Mask
from lowdose.networks.detection.detector import Detections, LesionDetector
from lowdose.weights.artefact import serialise_artefact

SIZE, ROW, COLUMN, RADIUS = 64, 40, 20, 6
"""Side of the slices, and where the disc lies in them, in pixels."""
BOX = (ROW - RADIUS, COLUMN - RADIUS, ROW + RADIUS, COLUMN + RADIUS)
"""Top, left, bottom and right edge of the disc."""
TISSUE, DISC, NOISE = 40.0, 100.0, 5.0
"""HU of tissue and disc, and the SD of the noise."""
STEPS, LEARNING_RATE = 70, 5e-3


def slices(with_disc: list[bool], seed: int = 0) -> np.ndarray:
    """Return noisy slices (z, y, x) in HU, of which some show the disc."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:SIZE, :SIZE] + 0.5
    disc = (y - ROW) ** 2 + (x - COLUMN) ** 2 < RADIUS**2
    clean = np.array([np.where(disc, DISC, TISSUE) if shown else np.full(disc.shape, TISSUE) for shown in with_disc])
    return np.asarray(clean + rng.normal(0, NOISE, clean.shape))


class Told(LesionDetector):
    """Sees the pixels that a rule marks in a slice (y, x) HU, as one box around them with a score of 0.9."""

    def __init__(self, rule: Callable[[HU], Mask]) -> None:
        super().__init__(1, 1, 1, 1)
        self.rule = rule

    def detect(self, slices: torch.Tensor) -> list[Detections]:
        marked = [self.rule(hu) for hu in slices[:, 0].numpy()]
        boxes = [torch.tensor([mask_box(mask)] if mask.any() else []).reshape(-1, 4) for mask in marked]
        return [Detections(each, torch.full((len(each),), 0.9)) for each in boxes]


def write_detector(run: Path, detector: LesionDetector) -> Path:
    """Write a detector into a run folder, and return the folder."""
    run.mkdir(parents=True, exist_ok=True)
    (run / "detector.safetensors").write_bytes(serialise_artefact("detector", detector, "lidnet", run.name, {}))
    return run


def write_blind_detector(run: Path) -> Path:
    """Write one that sees nothing into a run folder, and return the folder."""
    detector = LesionDetector(2, 1, 4, 8)
    torch.nn.init.constant_(detector.score.bias, -9.0)
    return write_detector(run, detector)


def write_trained_detector(run: Path) -> Path:
    """Train the detector, write it into a run folder, and return the folder; this takes a few seconds."""
    torch.manual_seed(0)
    detector = LesionDetector(8, 1, 16, 32)
    optimiser = torch.optim.AdamW(detector.parameters(), LEARNING_RATE)
    decay = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.01, STEPS)
    boxes, counts = torch.tensor([BOX], dtype=torch.float32), torch.tensor([1, 0])
    for step in range(STEPS):
        images = torch.from_numpy(slices([True, False], seed=step)).float()[:, None]
        losses = detector.losses(images, boxes, counts, torch.arange(2) + 2 * step)
        optimiser.zero_grad()
        torch.autograd.backward(torch.stack(list(losses.values())).sum())
        optimiser.step()
        decay.step()
    return write_detector(run, detector)
