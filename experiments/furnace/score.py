"""Score a denoiser on the validation slices, at the share of noise that the dose calls for.

    python -m experiments.furnace.score SET MODEL [--share 0.25] [--lesions] [--rows CSV]

MODEL: a name or path. Prints one line of JSON: means over patients, every patient with the same weight. A model of the
noise-free image is mixed with the quarter-dose input by --share, which is what the dose calls for; other models leave
what they leave.

    psnr_gain, ssim_gain   over quarter dose, in [-160, 240] HU
    context_gain           psnr_gain of the slices of which neighbours are at hand
    noise_sd, f_av         SD and mean frequency (2-D weighting) of the noise in flat soft tissue, over full dose's
    nps_error              mean |log| ratio of the radial NPS to full dose's from 0.05 to 0.8 of Nyquist
    tissue_bias            mean over tissues of |mean - mean of quarter dose|, HU
    lesion_5mm, lesion_8mm contrast kept of discs of -30 HU (--lesions)
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from scipy.ndimage import gaussian_filter, uniform_filter

from experiments.furnace.validation_set import ValidationSlice, load_images, load_set
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.image import HU, Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.metrics.fidelity import psnr
from lowdose.metrics.hu_bias import tissue_masks
from lowdose.metrics.noise_frequency import f_av_2d
from lowdose.metrics.noise_power import detrend, nps
from lowdose.metrics.structural_similarity import ssim
from lowdose.models.load import LoadedModel, load_by_name

SHARE = 0.25
ROI, MOST_ROIS = 32, 48
"""Pixels a side, and number, of the regions that noise is measured in."""
LESIONS_MM, LESION_HU = (5.0, 8.0), -30.0
MOST_LESIONS = 6


def main() -> None:
    """Score one model and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("model")
    parser.add_argument("--share", type=float, default=SHARE)
    parser.add_argument("--lesions", action="store_true")
    parser.add_argument("--rows", type=Path, help="file for the figures of every slice")
    arguments = parser.parse_args()
    model = load_by_name(arguments.model, torch.device("cpu"))
    rows = score_slices(model, arguments.set, arguments.share, arguments.lesions)
    if arguments.rows:
        with arguments.rows.open("w", newline="") as file:
            writer = csv.DictWriter(file, sorted({name for row in rows for name in row}))
            writer.writeheader()
            writer.writerows(rows)
    print(json.dumps(patient_means(rows)))


def score_slices(
    model: LoadedModel, folder: Path, share: float = SHARE, lesions: bool = False
) -> list[dict[str, object]]:
    """Return the figures of every slice of a validation set."""
    if model.denoiser.noise_free:
        model = replace(model, noise_kept=share)
    rows = []
    for item in load_set(folder):
        low, full = load_images(folder, item)
        figures = score_slice(model, item, low, full) | (_lesion_figures(model, item, low, full) if lesions else {})
        rows.append({"patient": item.patient, "file": item.file, "real": item.real, **figures})
    return rows


def patient_means(rows: Sequence[Mapping[str, object]]) -> dict[str, float]:
    """Return the mean of every figure over patients, each of which is the mean over its slices."""
    values: dict[str, dict[str, list[float]]] = defaultdict(lambda: defaultdict(list))
    for row in rows:
        for name, value in row.items():
            if isinstance(value, float) and np.isfinite(value):
                values[name][str(row["patient"])].append(value)
    return {
        name: round(float(np.mean([np.mean(of_one) for of_one in by_patient.values()])), 5)
        for name, by_patient in values.items()
    }


def denoise(model: LoadedModel, item: ValidationSlice, low: HU) -> HU:
    """Denoise the middle one of (3, y, x) HU."""
    sides, valid = (item.pixel_mm, item.pixel_mm), np.ones(low.shape[1:], bool)
    around = [Slice(image, valid, None, sides) for image in low]
    return denoise_slice(model, around[len(around) // 2], 1.0, around)


def score_slice(model: LoadedModel, item: ValidationSlice, low: HU, full: HU) -> dict[str, float]:
    """Return the figures of one slice, without lesions."""
    clean, input_ = denoise(model, item, low), low[len(low) // 2]
    seen, target, before = (SOFT_TISSUE.apply(image) for image in (clean, full, input_))
    gain = psnr(seen, target, 1.0) - psnr(before, target, 1.0)
    masks = tissue_masks(full)
    bias = [abs(float((clean - input_)[mask].mean(dtype=np.float64))) for mask in masks.values()]
    return {
        "psnr_gain": gain,
        "ssim_gain": ssim(seen, target, 1.0) - ssim(before, target, 1.0),
        **({"context_gain": gain} if item.neighbours else {}),
        **({"tissue_bias": float(np.mean(bias))} if bias else {}),
        **_noise_figures(clean, full, item.pixel_mm),
    }


def _noise_figures(clean: HU, full: HU, pixel_mm: float) -> dict[str, float]:
    """Compare the noise of both images in the same flat regions."""
    corners = flat_corners(full, ROI, MOST_ROIS)
    if len(corners) < 4:
        return {}
    rois = [np.stack([image[y : y + ROI, x : x + ROI] for y, x in corners]) for image in (clean, full)]
    sds = [float(np.sqrt((detrend(stack) ** 2).mean())) for stack in rois]
    powers = [nps(stack, pixel_mm) for stack in rois]
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(ROI)] * 2)) / 0.5
    errors = []
    for low, high in zip(np.arange(0.05, 0.8, 0.125), np.arange(0.175, 0.93, 0.125), strict=False):
        band = (frequency >= low) & (frequency < high)
        own, wanted = (power[band].mean() for power in powers)
        errors.append(abs(float(np.log(own / wanted))))
    f_avs = [f_av_2d(power, pixel_mm) for power in powers]
    return {"noise_sd": sds[0] / sds[1], "f_av": f_avs[0] / f_avs[1], "nps_error": float(np.mean(errors))}


def flat_corners(full: HU, side: int, most: int) -> list[tuple[int, int]]:
    """Return the corners of the flattest squares of soft tissue that do not overlap, flattest first."""
    smooth = gaussian_filter(full.astype(np.float32), 3.0)
    slope = np.hypot(*np.gradient(smooth))
    soft = uniform_filter(((smooth > -20) & (smooth < 160)).astype(np.float32), side) > 0.999
    score = np.where(soft, uniform_filter(slope, side), np.inf)
    half, corners = side // 2, list[tuple[int, int]]()
    while len(corners) < most:
        y, x = np.unravel_index(int(np.argmin(score)), score.shape)
        if not np.isfinite(score[y, x]):
            break
        top, left = int(y) - half, int(x) - half
        score[max(0, y - side) : y + side, max(0, x - side) : x + side] = np.inf
        if top >= 0 and left >= 0 and top + side <= full.shape[0] and left + side <= full.shape[1]:
            corners.append((top, left))
    return corners


def _lesion_figures(model: LoadedModel, item: ValidationSlice, low: HU, full: HU) -> dict[str, float]:
    """Return the contrast kept of discs in flat soft tissue: of what they add to the input, the part in the result."""
    corners = flat_corners(full, ROI, MOST_LESIONS)
    if not corners:
        return {}
    without, figures = denoise(model, item, low), {}
    for diameter in LESIONS_MM:
        y, x = np.ogrid[: full.shape[0], : full.shape[1]]
        centres = [(top + ROI / 2, left + ROI / 2) for top, left in corners]
        far = np.min([np.hypot(y - cy, x - cx) for cy, cx in centres], axis=0) * item.pixel_mm
        added = gaussian_filter(np.where(far <= diameter / 2, LESION_HU, 0.0).astype(np.float32), 0.6 / item.pixel_mm)
        change, core = denoise(model, item, low + added) - without, far <= 0.3 * diameter
        figures[f"lesion_{diameter:g}mm"] = float(change[core].mean() / added[core].mean())
    return figures


if __name__ == "__main__":
    main()
