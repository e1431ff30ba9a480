"""Named ways to measure: a number without its window, data range and flavour cannot be compared with any other.

``default`` is what this project reports. The others reproduce what the code behind published tables computes,
including what is odd about it, so that a number can be set beside theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Literal

from lowdose.errors import InvalidSetting
from lowdose.hounsfield import SOFT_TISSUE, Window
from lowdose.metrics.feature_similarity import fsim
from lowdose.metrics.fidelity import Image, Image64, psnr, rmse
from lowdose.metrics.structural_similarity import SSIM_FLAVOURS, SsimFlavour, ssim
from lowdose.metrics.visual_information import vif

METRICS = ("rmse", "psnr", "ssim", "fsim", "vif")

Peak = Literal["window", "reference"]
VifFlavour = Literal["scaled_255", "stored_swapped"]
RmseUnit = Literal["HU", "window"]

STORED = Window(-1024.0, 1900.0)
"""Stored values [0, 2924] with the intercept -1024 that ldct-benchmark takes for granted."""


@dataclass(frozen=True)
class Profile:
    """One definition of the five metrics. Images are clipped to ``window`` (HU) first.

    psnr: the data range L is the window's width, or the reference's own max - min within it (per image).
    ssim: flavour; signed_ssim: on signed HU instead of [0, L], which gives another value.
    vif: on the window scaled to [0, 255], or on ``STORED`` with the two images swapped.
    rmse_window: window of the RMSE if it is not ``window``; rmse_unit: HU, or the window as 1.
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
        """The same definitions on another window; the data range follows it."""
        return self if window == self.window else replace(self, window=window)

    @property
    def data_range(self) -> float | None:
        """L of PSNR and SSIM in HU; None where each reference image sets its own."""
        return self.window.width if self.psnr == "window" else None

    def label(self, metric: str) -> str:
        """The metric's name with all that fixes its value."""
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
        """All five definitions in a line each, and where they come from."""
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
    """RMSE, PSNR, SSIM, FSIM and VIF of one slice (y, x) in HU, at least 41 x 41, as ``profile`` defines them."""
    image, reference = profile.window.apply(image_hu), profile.window.apply(reference_hu)
    spread = 1.0 if profile.psnr == "window" else float(reference.max() - reference.min())
    if spread == 0.0:
        raise InvalidSetting(f"profile {profile.name}: the reference is constant within {profile.window}, range 0")
    return {
        "rmse": _rmse(image_hu, reference_hu, profile),
        "psnr": psnr(image, reference, spread),
        "ssim": _ssim(image, reference, spread, profile),
        "fsim": fsim(image, reference, 1.0),
        "vif": _vif(image_hu, reference_hu, profile),
    }


def _rmse(image_hu: Image, reference_hu: Image, profile: Profile) -> float:
    window = profile.rmse_window or profile.window
    share = rmse(window.apply(image_hu), window.apply(reference_hu))
    return share * window.width if profile.rmse_unit == "HU" else share


def _ssim(image: Image64, reference: Image64, spread: float, profile: Profile) -> float:
    offset = profile.window.low / profile.window.width if profile.signed_ssim else 0.0
    return ssim(image + offset, reference + offset, spread, profile.ssim)


def _vif(image_hu: Image, reference_hu: Image, profile: Profile) -> float:
    if profile.vif == "stored_swapped":
        image, reference = STORED.apply(image_hu), STORED.apply(reference_hu)
        return vif(reference, image, data_range=1.0, scaled_to=STORED.width)
    image, reference = profile.window.apply(image_hu), profile.window.apply(reference_hu)
    return vif(image, reference, data_range=1.0, scaled_to=255.0)


def linear_voi(centre: float, width: float) -> Window:
    """DICOM's linear VOI function (PS3.3 C.11.2.1.2): the window is w - 1 wide about c - 0.5."""
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


_ALL = (
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

PROFILES: Mapping[str, Profile] = MappingProxyType({profile.name: profile for profile in _ALL})
