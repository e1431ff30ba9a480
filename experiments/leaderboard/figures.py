"""The one definition by which every row is scored, slice by slice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.ndimage import uniform_filter
from scipy.optimize import brentq
from torch import Tensor

from experiments.furnace.score import (
    MOST_ROIS,
    ROI,
    band_ratios,
    denoise,
    lesion_figures,
    noise_figures,
    patient_means,
    relative_noise,
)
from experiments.furnace.validation_set import ValidationSlice, load_images, load_set
from lowdose.hounsfield import Scale
from lowdose.image import HU
from lowdose.metrics.hu_bias import tissue_bias, tissue_masks
from lowdose.metrics.label_overlap import dice
from lowdose.metrics.noise_power import detrend
from lowdose.metrics.profiles import PROFILES, measure_fidelity
from lowdose.metrics.rois import cut_squares, flattest_squares
from lowdose.models.load import HUDenoiser, LoadedModel
from lowdose.networks.anatomy import Anatomy, read_anatomy
from lowdose.networks.segmentation import segment_slice
from lowdose.organ_classes import CLASSES, INDEX, ORGANS

LESIONS_MM = (5.0, 8.0, 15.0)
FEWEST_PIXELS = 200
"""Pixels of an organ at full dose from which its Dice coefficient counts."""
LOCAL = 9
"""Pixels a side of the squares that local SD is taken in."""
EACH = 2
"""Most slices of a patient, since the slices of a patient tell less than another patient."""
Row = dict[str, object]


@dataclass(frozen=True)
class Blend:
    """A denoiser whose result is mixed with its input; with the strength 0 it is the input.

    Attributes
    ----------
    inner : HUDenoiser
        The denoiser.
    strength : float
        Share of its result, 0 to 1.
    """

    inner: HUDenoiser
    strength: float
    noise_free: bool = False

    @property
    def scale(self) -> Scale:
        """Range of HU that is denoised."""
        return self.inner.scale

    @property
    def context(self) -> int:
        """Neighbouring slices on either side."""
        return self.inner.context

    def denoise(self, hu: Tensor) -> Tensor:
        """Denoise (B, 2c+1, H, W) HU to (B, 1, H, W) HU."""
        middle = hu[:, self.context, None]
        return middle + self.strength * (self.inner.denoise(hu) - middle) if self.strength else middle


def scored_slices(folder: Path) -> list[ValidationSlice]:
    """Return the first slices of each patient of a validation set."""
    of_patient: dict[str, list[ValidationSlice]] = {}
    for item in load_set(folder):
        of_patient.setdefault(item.patient, []).append(item)
    return [item for items in of_patient.values() for item in items[:EACH]]


def score(model: LoadedModel, folder: Path) -> list[Row]:
    """Return the figures of the slices of a validation set.

    ``psnr`` (dB), ``ssim``, ``fsim``, ``vif`` in [-160, 240] HU; ``noise_sd``, ``f_av`` over those of full dose;
    ``nps_error``; ``nps_F``, noise power over that of full dose around F of Nyquist; ``local_sd_error``, HU;
    ``bias_TISSUE``, mean HU minus that of the input; ``lesion_Nmm``, contrast kept; ``dice``, mean over organs of what
    the anatomy network finds in the result against what it finds at full dose; ``dice_ORGAN``.
    """
    network, rows = read_anatomy(None)[0], list[Row]()
    for item in scored_slices(folder):
        low, full = load_images(folder, item)
        clean = denoise(model, item, low)
        fidelity = measure_fidelity(clean, full, PROFILES["default"])
        bias = tissue_bias(clean, low[len(low) // 2], full)
        figures = {
            **{name: fidelity[name] for name in ("psnr", "ssim", "fsim", "vif")},
            **noise_figures(clean, full, item.pixel_mm),
            **spectrum(clean, full, item.pixel_mm),
            **local_sd_error(clean, full),
            **{f"bias_{tissue.replace(' ', '_')}": value for tissue, value in bias.items()},
            **lesion_figures(model, item, low, full, clean, LESIONS_MM),
            **organ_figures(network, clean, full, item.pixel_mm),
        }
        rounded = {name: round(float(value), 5) for name, value in figures.items()}
        rows.append({"patient": item.patient, "file": item.file, "real": item.real, **rounded})
    return rows


def spectrum(clean: HU, full: HU, pixel_mm: float) -> dict[str, float]:
    """Return the noise power in bands over that of full dose; nothing without flat regions."""
    noise = relative_noise(clean, full, pixel_mm)
    return {f"nps_{middle:g}": ratio for middle, ratio in band_ratios(noise).items()} if noise else {}


def local_sd_error(clean: HU, full: HU) -> dict[str, float]:
    """Return the mean absolute difference of the local SD, HU, from full dose's in soft tissue: noise place by place.

    The SD is that of squares of ``LOCAL`` pixels. Nothing without soft tissue.
    """
    inside = tissue_masks(full).get("soft tissue")
    if inside is None:
        return {}
    maps = [
        np.sqrt(np.maximum(uniform_filter(image**2, LOCAL) - uniform_filter(image, LOCAL) ** 2, 0))
        for image in (clean.astype(np.float64), full.astype(np.float64))
    ]
    return {"local_sd_error": float(np.abs(maps[0] - maps[1])[inside].mean())}


def organ_figures(network: Anatomy, clean: HU, full: HU, pixel_mm: float) -> dict[str, float]:
    """Return the Dice coefficient of each organ that full dose shows, and their mean; nothing without organs."""
    labels, reference = (segment_slice(network, image, (pixel_mm, pixel_mm)) for image in (clean, full))
    sizes, overlaps = np.bincount(reference.ravel(), minlength=len(CLASSES)), dice(labels, reference, len(CLASSES))
    shown = [organ.name for organ in ORGANS if sizes[INDEX[organ.name]] >= FEWEST_PIXELS]
    each = {f"dice_{name}": float(overlaps[INDEX[name]]) for name in shown}
    return {"dice": float(np.mean(list(each.values()))), **each} if each else {}


def strength_of_equal_noise(model: LoadedModel, folder: Path, noise_sd: float) -> float:
    """Return the share of the model's result, mixed with the input, that has the noise SD of ``noise_sd``.

    As in ``score``, it is the mean over patients of the SD over that of full dose. 1 where the model itself has more,
    0 where even the input has less.
    """
    slices = [found for item in scored_slices(folder) if (found := _flat_regions(model, item, folder))]

    def excess(strength: float) -> float:
        rows: Sequence[Row] = [
            {"patient": patient, "sd": float(np.sqrt(((low + strength * (clean - low)) ** 2).mean()) / full)}
            for patient, low, clean, full in slices
        ]
        return patient_means(rows)["sd"] - noise_sd

    if excess(1.0) >= 0:
        return 1.0
    return 0.0 if excess(0.0) <= 0 else float(brentq(excess, 0.0, 1.0, xtol=1e-4))


def _flat_regions(
    model: LoadedModel, item: ValidationSlice, folder: Path, fewest: int = 4
) -> tuple[str, HU, HU, float] | None:
    """Return patient, noise of input and result in flat regions, and SD of full dose there; None without regions."""
    low, full = load_images(folder, item)
    corners = flattest_squares(full, ROI, MOST_ROIS)
    if len(corners) < fewest:
        return None
    noise = [detrend(cut_squares(im, corners, ROI)) for im in (low[len(low) // 2], denoise(model, item, low), full)]
    return item.patient, noise[0], noise[1], float(np.sqrt((noise[2] ** 2).mean()))
