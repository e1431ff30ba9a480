"""Mean CT numbers per tissue, to detect whether a denoiser shifts the HU of the tissues that it smooths."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np
from scipy.ndimage import binary_erosion, gaussian_filter

from lowdose.errors import GeometryMismatch
from lowdose.hounsfield import Window
from lowdose.image import HU, Mask

TISSUES: Mapping[str, Window] = MappingProxyType(
    {
        "lung": Window(-950.0, -600.0),
        "fat": Window(-150.0, -50.0),
        "soft tissue": Window(0.0, 80.0),
        "enhanced": Window(90.0, 250.0),
        "bone": Window(300.0, 1200.0),
    }
)
"""HU range of each tissue in the smoothed image."""

SMOOTH_PX = 2.0
"""Standard deviation of the Gaussian that smooths the image before thresholding, in pixels."""

ERODE_PX = 3
FEWEST_PIXELS = 400


def tissue_masks(mask_source: HU, valid: Mask | None = None) -> dict[str, Mask]:
    """Segment the interior of each tissue in one slice by HU thresholds.

    The image is smoothed first, because thresholds on a noisy image select by the noise itself, and each region is
    eroded by 3 pixels, because its edge is partial volume.

    Parameters
    ----------
    mask_source : ndarray of float32, shape (y, x)
        Slice in HU. To compare several images, take all masks from the same source, preferably the reference image.
    valid : ndarray of bool, shape (y, x), optional
        Pixels that may be used, without padding. All pixels by default.

    Returns
    -------
    dict of str to ndarray of bool, shape (y, x)
        Mask of each tissue: "lung", "fat", "soft tissue", "enhanced" (contrast-enhanced) and "bone". A tissue of fewer
        than 400 pixels is left out.

    Raises
    ------
    GeometryMismatch
        If ``mask_source`` is not two-dimensional or ``valid`` has another shape.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import tissue_masks
    >>> hu = np.full((64, 64), 40.0, np.float32)
    >>> hu[:, :32] = -100.0
    >>> {tissue: int(mask.sum()) for tissue, mask in tissue_masks(hu).items()}
    {'fat': 1450, 'soft tissue': 1450}
    """
    valid = np.ones(mask_source.shape, dtype=np.bool_) if valid is None else valid
    if mask_source.ndim != 2 or valid.shape != mask_source.shape:
        raise GeometryMismatch(f"tissues need a slice and its mask, not {mask_source.shape} and {valid.shape}")
    smooth = gaussian_filter(np.where(valid, mask_source, -1000.0), SMOOTH_PX)
    masks: dict[str, Mask] = {}
    for tissue, window in TISSUES.items():
        region = valid & (smooth >= window.low) & (smooth <= window.high)
        core = np.asarray(binary_erosion(region, iterations=ERODE_PX), dtype=np.bool_)
        if np.count_nonzero(core) >= FEWEST_PIXELS:
            masks[tissue] = core
    return masks


def tissue_means(mask_source: HU, *images: HU, valid: Mask | None = None) -> dict[str, tuple[float, ...]]:
    """Compute the mean HU of each tissue in one or more images of the same slice.

    Parameters
    ----------
    mask_source : ndarray of float32, shape (y, x)
        Slice in HU from which ``tissue_masks`` segments the tissues.
    *images : ndarray of float32, shape (y, x)
        Images to measure, in HU.
    valid : ndarray of bool, shape (y, x), optional
        Pixels that may be used. All pixels by default.

    Returns
    -------
    dict of str to tuple of float
        Per tissue, the mean of each image in HU, in the order of ``images``.

    Raises
    ------
    GeometryMismatch
        If the shapes differ or ``mask_source`` is not two-dimensional.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import tissue_means
    >>> hu = np.full((64, 64), 40.0, np.float32)
    >>> tissue_means(hu, hu, hu + 2)
    {'soft tissue': (40.0, 42.0)}
    """
    for image in images:
        if image.shape != mask_source.shape:
            raise GeometryMismatch(f"an image of {image.shape} does not fit tissues of {mask_source.shape}")
    return {
        tissue: tuple(float(image[core].mean(dtype=np.float64)) for image in images)
        for tissue, core in tissue_masks(mask_source, valid).items()
    }


def tissue_bias(image: HU, reference: HU, mask_source: HU, valid: Mask | None = None) -> dict[str, float]:
    """Compute the mean HU of an image minus the mean HU of its reference, per tissue.

    Parameters
    ----------
    image, reference : ndarray of float32, shape (y, x)
        Images of the same slice, in HU.
    mask_source : ndarray of float32, shape (y, x)
        Slice in HU from which ``tissue_masks`` segments the tissues, usually the reference.
    valid : ndarray of bool, shape (y, x), optional
        Pixels that may be used. All pixels by default.

    Returns
    -------
    dict of str to float
        Bias of each tissue in HU; tissues of fewer than 400 pixels are left out.

    Raises
    ------
    GeometryMismatch
        If the shapes differ or ``mask_source`` is not two-dimensional.

    Examples
    --------
    >>> import numpy as np
    >>> from lowdose.metrics import tissue_bias
    >>> reference = np.full((64, 64), 40.0, np.float32)
    >>> tissue_bias(reference - 3, reference, mask_source=reference)
    {'soft tissue': -3.0}
    """
    means = tissue_means(mask_source, image, reference, valid=valid)
    return {tissue: image_mean - reference_mean for tissue, (image_mean, reference_mean) in means.items()}
