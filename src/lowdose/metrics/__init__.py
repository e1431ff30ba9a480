"""Image quality metrics for CT: fidelity, noise, resolution, HU bias, segmentation overlap, and their statistics.

All metrics are functions on NumPy arrays: ``lowdose.metrics.ssim(image, reference, data_range=1.0)``. Each is imported
when it is first used, so that importing this package is cheap and RMSE does not need scikit-image.

Full-reference metrics
    ``rmse``, ``psnr``, ``ssim``, ``ssim_map``, ``fsim``, ``vif``; all of them under one named definition with
    ``measure_fidelity``, ``PROFILES`` and ``Profile``, and of many images with one reference with
    ``FidelityReference``; ``frechet_distance`` between sets of image features.
Noise
    ``noise_level``, ``noise_bands``, ``noise_map``, ``noise_map_correlation``; what it depends on besides dose and
    kernel, ``water_equivalent_diameter``; noise power spectra with ``nps``, ``nps_radial``, ``ensemble_nps``,
    ``difference_nps``, ``radial_average``, ``f_av``, ``f_av_2d``, ``f_peak``.
Resolution
    ``ttf``, the task transfer function of a circular insert.
HU accuracy and segmentation
    ``tissue_masks``, ``tissue_means``, ``tissue_bias``, ``dice``, ``Overlap``, ``hausdorff_95``.
Lesions
    Detection with ``match_detections``, ``join_outcomes``, ``average_precision``, ``free_response``, ``Outcome``;
    texture with ``co_occurrence``, ``CoOccurrence``; contrast with ``contrast_kept``, ``lesion_core``.
What features know of noise
    ``systematic_share``, ``noise_distance_ratio``, ``texture_axis_share``, ``texture_leakage``.
Statistics over a test set
    ``summarise``, ``paired_difference``, ``Summary``.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lowdose.lazy_exports import lazy_exports

__all__ = [
    "PROFILES",
    "CoOccurrence",
    "FidelityReference",
    "NoiseLevel",
    "Outcome",
    "Overlap",
    "Profile",
    "Spectrum",
    "Summary",
    "TaskTransferFunction",
    "average_precision",
    "co_occurrence",
    "contrast_kept",
    "dice",
    "difference_nps",
    "ensemble_nps",
    "f_av",
    "f_av_2d",
    "f_peak",
    "frechet_distance",
    "free_response",
    "fsim",
    "hausdorff_95",
    "join_outcomes",
    "lesion_core",
    "match_detections",
    "measure_fidelity",
    "noise_bands",
    "noise_distance_ratio",
    "noise_level",
    "noise_map",
    "noise_map_correlation",
    "nps",
    "nps_radial",
    "paired_difference",
    "psnr",
    "radial_average",
    "rmse",
    "ssim",
    "ssim_map",
    "summarise",
    "systematic_share",
    "texture_axis_share",
    "texture_leakage",
    "tissue_bias",
    "tissue_masks",
    "tissue_means",
    "ttf",
    "vif",
    "water_equivalent_diameter",
]

if TYPE_CHECKING:
    from lowdose.metrics.band_noise import noise_bands
    from lowdose.metrics.body_size import water_equivalent_diameter
    from lowdose.metrics.feature_distance import frechet_distance
    from lowdose.metrics.feature_similarity import fsim
    from lowdose.metrics.fidelity import psnr, rmse
    from lowdose.metrics.fidelity_reference import FidelityReference
    from lowdose.metrics.glcm_texture import CoOccurrence, co_occurrence
    from lowdose.metrics.hu_bias import tissue_bias, tissue_masks, tissue_means
    from lowdose.metrics.label_overlap import Overlap, dice
    from lowdose.metrics.lesion_contrast import contrast_kept, lesion_core
    from lowdose.metrics.lesion_detection import (
        Outcome,
        average_precision,
        free_response,
        join_outcomes,
        match_detections,
    )
    from lowdose.metrics.local_noise import noise_map, noise_map_correlation
    from lowdose.metrics.noise_estimate import NoiseLevel, noise_level
    from lowdose.metrics.noise_frequency import Spectrum, f_av, f_av_2d, f_peak, radial_average
    from lowdose.metrics.noise_power import difference_nps, ensemble_nps, nps, nps_radial
    from lowdose.metrics.profiles import PROFILES, Profile, measure_fidelity
    from lowdose.metrics.statistics import Summary, paired_difference, summarise
    from lowdose.metrics.structural_similarity import ssim, ssim_map
    from lowdose.metrics.surface_distance import hausdorff_95
    from lowdose.metrics.task_transfer import TaskTransferFunction, ttf
    from lowdose.metrics.texture_sensitivity import (
        noise_distance_ratio,
        systematic_share,
        texture_axis_share,
        texture_leakage,
    )
    from lowdose.metrics.visual_information import vif
else:
    __getattr__, __dir__ = lazy_exports(
        globals(),
        {
            "lowdose.metrics.band_noise": ("noise_bands",),
            "lowdose.metrics.body_size": ("water_equivalent_diameter",),
            "lowdose.metrics.glcm_texture": ("CoOccurrence", "co_occurrence"),
            "lowdose.metrics.feature_distance": ("frechet_distance",),
            "lowdose.metrics.feature_similarity": ("fsim",),
            "lowdose.metrics.fidelity": ("psnr", "rmse"),
            "lowdose.metrics.fidelity_reference": ("FidelityReference",),
            "lowdose.metrics.hu_bias": ("tissue_bias", "tissue_masks", "tissue_means"),
            "lowdose.metrics.label_overlap": ("Overlap", "dice"),
            "lowdose.metrics.lesion_contrast": ("contrast_kept", "lesion_core"),
            "lowdose.metrics.lesion_detection": (
                "Outcome",
                "average_precision",
                "free_response",
                "join_outcomes",
                "match_detections",
            ),
            "lowdose.metrics.local_noise": ("noise_map", "noise_map_correlation"),
            "lowdose.metrics.noise_estimate": ("NoiseLevel", "noise_level"),
            "lowdose.metrics.noise_frequency": ("Spectrum", "f_av", "f_av_2d", "f_peak", "radial_average"),
            "lowdose.metrics.noise_power": ("difference_nps", "ensemble_nps", "nps", "nps_radial"),
            "lowdose.metrics.profiles": ("PROFILES", "Profile", "measure_fidelity"),
            "lowdose.metrics.statistics": ("Summary", "paired_difference", "summarise"),
            "lowdose.metrics.structural_similarity": ("ssim", "ssim_map"),
            "lowdose.metrics.surface_distance": ("hausdorff_95",),
            "lowdose.metrics.task_transfer": ("TaskTransferFunction", "ttf"),
            "lowdose.metrics.texture_sensitivity": (
                "noise_distance_ratio",
                "systematic_share",
                "texture_axis_share",
                "texture_leakage",
            ),
            "lowdose.metrics.visual_information": ("vif",),
        },
    )
