"""A reference image with what RMSE, PSNR, SSIM, FSIM and VIF need of it, computed once for any number of images."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import Window
from lowdose.metrics import feature_similarity, structural_similarity, visual_information
from lowdose.metrics.fidelity import Image, as_pair, psnr, rmse
from lowdose.metrics.visual_information import Moments

if TYPE_CHECKING:
    from lowdose.metrics.profiles import Profile

STORED = Window(-1024.0, 1900.0)
"""HU of the stored values [0, 2924] with a rescale intercept of -1024, which ldct-benchmark assumes."""


class FidelityReference:
    """A reference to which images are compared as a profile says.

    Half of the work on a pair of images is work on the reference alone.

    Parameters
    ----------
    hu : ndarray of float, shape (y, x)
        Reference in HU, at least 41 x 41.
    profile : Profile
        Definition of the metrics.

    Raises
    ------
    GeometryMismatch
        If the reference is not two-dimensional or smaller than 41 x 41.
    InvalidSetting
        If the profile takes the data range from the reference and it is constant within the window.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import PROFILES, FidelityReference, measure_fidelity
    >>> low, full = np.random.default_rng(0).normal(40.0, 20.0, (2, 64, 64))
    >>> reference = FidelityReference(full, PROFILES["default"])
    >>> reference.measure(low) == measure_fidelity(low, full, PROFILES["default"])
    True
    """

    def __init__(self, hu: Image, profile: Profile) -> None:
        self.hu, self.profile = hu, profile
        self._image = profile.window.apply(hu)
        self._range = 1.0 if profile.psnr == "window" else float(self._image.max() - self._image.min())
        if self._range == 0.0:
            raise InvalidSetting(f"profile {profile.name}: the reference is constant within {profile.window}, range 0")
        window = profile.window
        self._ssim_offset = window.low / window.width if profile.signed_ssim else 0.0
        self._ssim = structural_similarity.ssim_moments(self._image + self._ssim_offset, profile.ssim)
        self._fsim = feature_similarity.fsim_features(self._image, 1.0)
        self._vif = self._vif_moments(hu)

    def measure(self, hu: Image) -> dict[str, float]:
        """Compute RMSE, PSNR, SSIM, FSIM and VIF of an image (y, x) in HU; see ``measure_fidelity``."""
        image, reference = as_pair(self.profile.window.apply(hu), self._image)
        flavour = self.profile.ssim
        ssim = structural_similarity.ssim_moments(image + self._ssim_offset, flavour)
        vif = self._vif_moments(hu)
        swapped = self.profile.vif == "stored_swapped"
        return {
            "rmse": self._rmse(hu),
            "psnr": psnr(image, reference, self._range),
            "ssim": structural_similarity.compare_moments(ssim, self._ssim, self._range, flavour),
            "fsim": feature_similarity.compare_features(feature_similarity.fsim_features(image, 1.0), self._fsim),
            "vif": visual_information.compare_moments(*((self._vif, vif) if swapped else (vif, self._vif))),
        }

    def _rmse(self, hu: Image) -> float:
        window = self.profile.rmse_window or self.profile.window
        error = rmse(window.apply(hu), window.apply(self.hu))  # as a fraction of the window's width
        return error * window.width if self.profile.rmse_unit == "HU" else error

    def _vif_moments(self, hu: Image) -> Sequence[Moments]:
        if self.profile.vif == "stored_swapped":
            return visual_information.vif_moments(STORED.apply(hu), 1.0, STORED.width)
        return visual_information.vif_moments(self.profile.window.apply(hu), 1.0, 255.0)
