"""Named definitions ("profiles") of RMSE, PSNR, SSIM, FSIM and VIF on CT slices.

A value can only be compared with another one of the same HU window, data range and variant. ``default`` is what this
project reports. The others reproduce what the code behind published tables computes, including its peculiarities, so
that values can be compared with those tables.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import SOFT_TISSUE, Window
from lowdose.metrics.fidelity import Image
from lowdose.metrics.fidelity_reference import STORED, FidelityReference
from lowdose.metrics.structural_similarity import SSIM_FLAVOURS, SsimFlavour

METRICS = ("rmse", "psnr", "ssim", "fsim", "vif")

Peak = Literal["window", "reference"]
VifFlavour = Literal["scaled_255", "stored_swapped"]
RmseUnit = Literal["HU", "window"]


@dataclass(frozen=True)
class Profile:
    """Definition of RMSE, PSNR, SSIM, FSIM and VIF on CT slices.

    Attributes
    ----------
    name : str
    window : Window, HU
        Both images are clipped to this window first.
    note : str
        Origin of the definition.
    psnr : {"window", "reference"}
        Data range L of PSNR and SSIM: the width of the window, or max - min of each reference image within it.
    ssim : str
        Flavour of ``lowdose.metrics.ssim``.
    signed_ssim : bool
        Compute SSIM on signed HU instead of HU shifted to [0, L], which gives another value.
    vif : {"scaled_255", "stored_swapped"}
        Compute VIF on the window scaled to [0, 255], or on ``STORED`` with image and reference exchanged.
    rmse_unit : {"HU", "window"}
        Report RMSE in HU, or as a fraction of the window's width.
    rmse_window : Window or None, HU
        Window of the RMSE if it is not ``window``.

    Raises
    ------
    InvalidSetting
        If ``ssim`` is not a known flavour.

    Examples
    --------
    >>> from lowdose.hounsfield import Window
    >>> from lowdose.metrics import Profile
    >>> lung = Profile("lung", Window(-1350.0, 150.0), "our lung window")
    >>> print(lung.label("psnr"))
    PSNR (dB; [-1350, 150] HU, range 1500 HU)
    """

    name: str
    window: Window
    note: str
    psnr: Peak = "window"
    ssim: SsimFlavour = "gaussian_cropped"
    signed_ssim: bool = False
    vif: VifFlavour = "scaled_255"
    rmse_unit: RmseUnit = "HU"
    rmse_window: Window | None = None

    def __post_init__(self) -> None:
        if self.ssim not in SSIM_FLAVOURS:
            raise InvalidSetting(f"SSIM flavour {self.ssim!r}: choose one of {', '.join(SSIM_FLAVOURS)}")

    def with_window(self, window: Window) -> Profile:
        """Return a profile with the same definitions on another window, which also sets the data range."""
        return self if window == self.window else replace(self, window=window)

    @property
    def data_range(self) -> float | None:
        """Data range L of PSNR and SSIM in HU; None if it depends on each reference image."""
        return self.window.width if self.psnr == "window" else None

    def heading(self, metric: str) -> str:
        """Return the short name of a metric with its unit, for the heading of a column."""
        unit = {"rmse": "HU" if self.rmse_unit == "HU" else "of window", "psnr": "dB"}.get(metric)
        return f"{metric.upper()} ({unit})" if unit else metric.upper()

    def label(self, metric: str) -> str:
        """Return the name of a metric with all settings that determine its value.

        Raises InvalidSetting for a name other than "rmse", "psnr", "ssim", "fsim" and "vif".
        """
        where = f"{self.window}, range {self._range_text()}"
        texts = {
            "rmse": f"RMSE ({self._rmse_text()})",
            "psnr": f"PSNR (dB; {where})",
            "ssim": f"SSIM ({SSIM_FLAVOURS[self.ssim]}{', on signed HU' if self.signed_ssim else ''}; {where})",
            "fsim": f"FSIM (grey, Zhang 2011; {self.window} as 0-255)",
            "vif": f"VIF ({self._vif_text()})",
        }
        if metric not in texts:
            raise InvalidSetting(f"metric {metric!r}: choose one of {', '.join(METRICS)}")
        return texts[metric]

    def describe(self) -> str:
        """Return the name, the origin and the five metric labels of the profile, one per line."""
        return "\n".join([f"{self.name}: {self.note}", *(f"  {self.label(metric)}" for metric in METRICS)])

    def _range_text(self) -> str:
        return f"{self.window.width:g} HU" if self.psnr == "window" else "max - min of each reference"

    def _rmse_text(self) -> str:
        window = self.rmse_window or self.window
        return f"HU; {window}" if self.rmse_unit == "HU" else f"window as 1, {window.width:g} HU; {window}"

    def _vif_text(self) -> str:
        if self.vif == "scaled_255":
            return f"pixel domain, sigma_n^2 2; {self.window} as 0-255"
        return f"pixel domain, sigma_n^2 2; {STORED} as stored 0-{STORED.width:g}, image and reference swapped"


def measure_fidelity(image_hu: Image, reference_hu: Image, profile: Profile) -> dict[str, float]:
    """Compute RMSE, PSNR, SSIM, FSIM and VIF of one slice as a profile defines them.

    Parameters
    ----------
    image_hu, reference_hu : ndarray of float, shape (y, x)
        Image and reference in HU, at least 41 x 41; the profile's window clips them.
    profile : Profile
        Definition of the metrics, for example ``PROFILES["default"]``.

    Returns
    -------
    dict of str to float
        "rmse" (HU, or a fraction of the window's width, see ``profile.rmse_unit``), "psnr" (dB), "ssim", "fsim" and
        "vif" (without a unit).

    Raises
    ------
    GeometryMismatch
        If the shapes differ or the images are not two-dimensional or smaller than 41 x 41.
    InvalidSetting
        If the profile takes the data range from the reference and the reference is constant within the window.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import PROFILES, measure_fidelity
    >>> y, x = np.mgrid[:64, :64]
    >>> reference = 100.0 * np.sin(x / 5)
    >>> values = measure_fidelity(reference + 10.0 * (-1.0) ** (x + y), reference, PROFILES["default"])
    >>> {name: round(value, 2) for name, value in values.items()}
    {'rmse': 10.0, 'psnr': 32.04, 'ssim': 0.86, 'fsim': 1.0, 'vif': 0.57}
    """
    return FidelityReference(reference_hu, profile).measure(image_hu)


def linear_voi(centre: float, width: float) -> Window:
    """Return the HU window of DICOM's linear VOI function, of width w - 1 about c - 0.5 (PS3.3 C.11.2.1.2)."""
    return Window(centre - 0.5 - (width - 1) / 2, centre - 0.5 + (width - 1) / 2)


def _ldct_bench(suffix: str, exam: str, centre: float, width: float) -> Profile:
    return Profile(
        name=f"ldct_bench{suffix}",
        window=linear_voi(centre, width),
        note=f"ldct-benchmark (Eulig et al., Med Phys 2024), {exam} window; its FSIM is ours",
        ssim="uniform7",
        vif="stored_swapped",
        rmse_window=STORED,
    )


_PROFILES = (
    Profile("default", SOFT_TISSUE, "what lowdose reports: soft-tissue window, SSIM of Wang 2004"),
    Profile(
        "leda",
        Window(-1000.0, 2000.0),
        "LEDA and ASCON releases; both images clipped here (the release clips all but its prediction); "
        "FSIM and VIF are not in the release",
        ssim="clamped",
        rmse_unit="window",
    ),
    Profile(
        "red_cnn",
        SOFT_TISSUE,
        "RED-CNN and CTformer code: SSIM on signed HU; FSIM and VIF are ours",
        ssim="red_cnn",
        signed_ssim=True,
    ),
    Profile(
        "core_diff",
        Window(-1000.0, 1000.0),
        "CoreDiff code: the reference's own range for each image; FSIM and VIF are ours",
        psnr="reference",
        ssim="red_cnn",
    ),
    _ldct_bench("", "abdomen", 50.0, 400.0),
    _ldct_bench("_chest", "chest", -600.0, 1500.0),
    _ldct_bench("_neuro", "neuro", 40.0, 80.0),
)

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in _PROFILES})
"""All profiles by name."""
