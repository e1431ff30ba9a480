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
    lesion_5mm, lesion_8mm contrast kept of lesions of -30 HU inserted into even soft tissue (--lesions)
"""

from __future__ import annotations

import argparse
import csv
import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from experiments.furnace.validation_set import ValidationSlice, load_images, load_set
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.image import HU, Slice
from lowdose.infer.pipeline import denoise_slice
from lowdose.metrics.fidelity import Image64, psnr
from lowdose.metrics.hu_bias import tissue_masks
from lowdose.metrics.lesion_contrast import contrast_kept, lesion_core
from lowdose.metrics.noise_frequency import f_av_2d
from lowdose.metrics.noise_power import detrend, nps
from lowdose.metrics.rois import cut_squares, flattest_squares
from lowdose.metrics.structural_similarity import ssim
from lowdose.models.load import LoadedModel, load_by_name
from lowdose.phantom.lesion_kinds import SOFT_TISSUE as SOFT_TISSUE_LESION
from lowdose.phantom.lesion_kinds import LesionKind
from lowdose.phantom.lesion_sites import even_tissue
from lowdose.phantom.slice_lesions import insert_lesions, place_lesions, slice_volume

SHARE = 0.25
ROI, MOST_ROIS = 32, 48
"""Pixels a side, and number, of the regions that noise is measured in."""
BAND = 0.125
BANDS = tuple(0.05 + BAND * number for number in range(6))
"""Width and lower ends of the bands that noise power spectra are compared in, over Nyquist."""
LESIONS_MM, LESION_HU = (5.0, 8.0), -30.0
MOST_LESIONS, THICKNESS_MM = 6, 3.0


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
        clean = denoise(model, item, low)
        figures = score_slice(clean, item, low, full)
        if lesions:
            figures |= lesion_figures(model, item, low, full, clean)
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


def score_slice(clean: HU, item: ValidationSlice, low: HU, full: HU) -> dict[str, float]:
    """Return the figures of the result for one slice, without lesions."""
    input_ = low[len(low) // 2]
    gain, ssim_gain = gains(clean, input_, full)
    masks = tissue_masks(full)
    bias = [abs(float((clean - input_)[mask].mean(dtype=np.float64))) for mask in masks.values()]
    return {
        "psnr_gain": gain,
        "ssim_gain": ssim_gain,
        **({"context_gain": gain} if item.neighbours else {}),
        **({"tissue_bias": float(np.mean(bias))} if bias else {}),
        **noise_figures(clean, full, item.pixel_mm),
    }


def gains(clean: HU, low: HU, full: HU) -> tuple[float, float]:
    """Return the gains in PSNR (dB) and SSIM over low dose, in [-160, 240] HU."""
    seen, before, target = (SOFT_TISSUE.apply(image) for image in (clean, low, full))
    psnr_gain, ssim_gain = (metric(seen, target, 1.0) - metric(before, target, 1.0) for metric in (psnr, ssim))
    return psnr_gain, ssim_gain


class RelativeNoise(NamedTuple):
    """Noise of an image over that of full dose, in the same flat regions: SD, mean frequency, and NPS of both."""

    sd: float
    f_av: float
    powers: tuple[Image64, Image64]


def relative_noise(clean: HU, full: HU, pixel_mm: float, fewest: int = 4) -> RelativeNoise | None:
    """Compare the noise of both images; None where full dose has less than ``fewest`` flat regions."""
    corners = flattest_squares(full, ROI, MOST_ROIS)
    if len(corners) < fewest:
        return None
    rois = [cut_squares(image, corners, ROI) for image in (clean, full)]
    sds = [float(np.sqrt((detrend(stack) ** 2).mean())) for stack in rois]
    own, wanted = (nps(stack, pixel_mm) for stack in rois)
    return RelativeNoise(sds[0] / sds[1], f_av_2d(own, pixel_mm) / f_av_2d(wanted, pixel_mm), (own, wanted))


def noise_figures(clean: HU, full: HU, pixel_mm: float) -> dict[str, float]:
    """Return SD, mean frequency and error of the NPS of the noise against full dose's; nothing without flat regions."""
    noise = relative_noise(clean, full, pixel_mm)
    if noise is None:
        return {}
    errors = np.abs(np.log(list(band_ratios(noise).values())))
    return {"noise_sd": noise.sd, "f_av": noise.f_av, "nps_error": float(errors.mean())}


def band_ratios(noise: RelativeNoise) -> dict[float, float]:
    """Return the NPS over that of full dose in bands of frequency, by the middle of the band over Nyquist."""
    frequency = np.hypot(*np.meshgrid(*[np.fft.fftfreq(ROI)] * 2)) / 0.5
    found = {}
    for low in BANDS:
        band = (frequency >= low) & (frequency < low + BAND)
        own, wanted = (power[band].mean() for power in noise.powers)
        found[round(low + BAND / 2, 4)] = float(own / wanted)
    return found


def lesion_figures(
    model: LoadedModel, item: ValidationSlice, low: HU, full: HU, without: HU, diameters: Sequence[float] = LESIONS_MM
) -> dict[str, float]:
    """Return the contrast that inserted lesions keep: of what they add to the input, the part in the result.

    without: the result without lesions.
    """
    room = {SOFT_TISSUE_LESION: even_tissue(full, item.pixel_mm)[SOFT_TISSUE_LESION]}
    volume = slice_volume(full, (item.pixel_mm, item.pixel_mm), THICKNESS_MM)
    figures: dict[str, float] = {}
    for diameter in diameters:
        kinds = [LesionKind(SOFT_TISSUE_LESION, "metastasis", diameter, LESION_HU)] * MOST_LESIONS
        planned = place_lesions(room, kinds, item.pixel_mm, np.random.default_rng(0))
        if not planned:
            continue
        added = insert_lesions(volume, planned)[0].hu[0] - full
        cores = [lesion_core(full.shape, (lesion.y, lesion.x), diameter / item.pixel_mm) for lesion in planned]
        change = denoise(model, item, low + added) - without
        figures[f"lesion_{diameter:g}mm"] = contrast_kept(change, added, np.any(cores, axis=0))
    return figures


if __name__ == "__main__":
    main()
