"""The shipped default on the real patient it never saw: a guard against weights or pipeline going wrong unnoticed."""

from contextlib import ExitStack

import numpy as np
import pytest
import torch

from lowdose.api.cases import open_cases
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.infer.pipeline import denoise_slice
from lowdose.io.stated_sizes import UNSTATED
from lowdose.metrics.fidelity import psnr
from lowdose.metrics.hu_bias import tissue_bias
from lowdose.metrics.structural_similarity import ssim
from lowdose.models import load
from lowdose.weights.identity import DEFAULT_MODEL
from support.shared_scans import SHARED_CT

PAIRS = SHARED_CT / "pairs/mayo-2016"
NEEDS_PAIRS = pytest.mark.skipif(not PAIRS.is_dir(), reason="real pairs are not here")


# Gains over the low-dose slice that docs/results.md reports, less what one slice may differ.
@pytest.mark.data
@NEEDS_PAIRS
@pytest.mark.parametrize(
    ("series", "gain_psnr", "gain_ssim"), [("L143-3mm-D45f", 4.5, 0.02), ("L143-3mm-B30f", 3.5, 0.04)]
)
def test_gain_and_hu_on_a_patient_never_seen(series: str, gain_psnr: float, gain_ssim: float) -> None:
    model = load.load_by_name(DEFAULT_MODEL, torch.device("cpu"))
    with ExitStack() as stack:
        (case,) = open_cases(stack, [], [], PAIRS / series, None, UNSTATED)
        low, full = (source.read(2) for source in (case.low, case.full))
    clean = denoise_slice(model, low, 1.0)
    before, after, reference = (SOFT_TISSUE.apply(image) for image in (low.hu, clean, full.hu))
    assert psnr(after, reference, 1.0) - psnr(before, reference, 1.0) > gain_psnr
    assert ssim(after, reference, 1.0) - ssim(before, reference, 1.0) > gain_ssim
    for tissue, bias in tissue_bias(clean, low.hu, full.hu, low.valid & full.valid).items():
        assert abs(bias) < (1.0 if tissue != "bone" else 3.0), tissue
    same = ~low.valid | (low.hu >= model.denoiser.scale.high) | (low.hu <= model.denoiser.scale.low)
    assert np.array_equal(clean[same], low.hu[same])
