"""Published figures of LEDA (Chen et al. 2024, Tables 1-4): PSNR, SSIM, FSIM on [-160, 240] HU, means over slices.

They belong to other data, another frozen_network and another vocabulary than anything measured here.
"""

from __future__ import annotations

from typing import NamedTuple


class Published(NamedTuple):
    """PSNR in dB, SSIM, FSIM."""

    psnr: float
    ssim: float
    fsim: float

    def __str__(self) -> str:
        """Return the three figures as a table cell."""
        return f"{self.psnr:.2f} / {self.ssim:.4f} / {self.fsim:.4f}"


MAYO_2016 = {
    ("red_cnn", "mse"): Published(28.69, 0.8562, 0.9321),
    ("esau_net", "mse"): Published(28.74, 0.8616, 0.9353),
    ("red_cnn", "perceptual"): Published(27.47, 0.8542, 0.9363),
    ("esau_net", "perceptual"): Published(27.58, 0.8573, 0.9385),
    ("red_cnn", "leda"): Published(28.59, 0.8636, 0.9393),
    ("esau_net", "leda"): Published(28.64, 0.8647, 0.9410),
    ("red_cnn", "leda_c"): Published(28.34, 0.8640, 0.9404),
    ("red_cnn", "leda_d"): Published(28.70, 0.8615, 0.9360),
}
MAYO_2020 = {
    ("red_cnn", "mse"): Published(34.03, 0.9328, 0.9686),
    ("esau_net", "mse"): Published(34.12, 0.9334, 0.9708),
    ("red_cnn", "perceptual"): Published(33.43, 0.9310, 0.9706),
    ("esau_net", "perceptual"): Published(33.49, 0.9328, 0.9720),
    ("red_cnn", "leda"): Published(33.97, 0.9343, 0.9721),
    ("esau_net", "leda"): Published(34.06, 0.9351, 0.9731),
}
AUTOENCODERS = {
    "vqgan": (58.17, 28.55, 0.8611),
    "words": (62.18, 28.49, 0.8571),
    "guided": (51.79, 28.59, 0.8636),
}
"""Table 4: FID of the reconstruction, then PSNR and SSIM of RED-CNN trained with it, on Mayo-2016."""
