"""Linking of the boxes of neighbouring slices to lesions."""

from __future__ import annotations

from torch import Tensor

from lowdose.networks.detection.boxes import box_iou

LEAST_OVERLAP = 0.2
"""Intersection over union from which boxes of neighbouring slices are of one lesion.

Boxes through a ball differ most at its ends: through one of 10 mm with slices of 3 mm, 1.5 and 4.5 mm off its centre,
they have 91 and 19 square mm, and an intersection over union of 0.21.
"""


def link_boxes(before: Tensor, after: Tensor, least_overlap: float = LEAST_OVERLAP) -> dict[int, int]:
    """Return, by number of a box in a slice, the number of the box in the slice before that it continues.

    Two boxes are of one lesion where their intersection over union is at least ``least_overlap``. The pair with the
    largest one comes first, and each box is of one pair at most: what is left begins or ends a lesion.

    Parameters
    ----------
    before, after : Tensor
        Boxes (N, 4) and (M, 4) of the two slices: top, left, bottom and right edge in pixels.
    least_overlap : float
        Least intersection over union, above 0.

    References
    ----------
    E. Bochinski, V. Eiselein, T. Sikora, High-Speed Tracking-by-Detection Without Using Image Information, AVSS 2017,
    whose rule this is, with slices in place of video frames.

    Examples
    --------
    >>> import torch
    >>> from lowdose.infer.lesion_linking import link_boxes
    >>> before = torch.tensor([[0.0, 0.0, 4.0, 4.0], [0.0, 8.0, 4.0, 12.0]])
    >>> link_boxes(before, torch.tensor([[0.0, 8.0, 4.0, 11.0], [20.0, 20.0, 24.0, 24.0]]))
    {0: 1}
    """
    overlap, continued = box_iou(before, after), dict[int, int]()
    while overlap.numel() and float(overlap.max()) >= least_overlap:
        one, other = divmod(int(overlap.argmax()), overlap.shape[1])
        continued[other] = one
        overlap[one], overlap[:, other] = -1.0, -1.0
    return continued
