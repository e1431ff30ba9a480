"""Slices in all images with the lesions that are looked for in them: inserted, or annotated as the patient has them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np

from lowdose.errors import InvalidSetting
from lowdose.evaluation.images import FULL, LOW, denoise_with_each
from lowdose.evaluation.inserted_lesions import LESIONS, draw_lesions
from lowdose.evaluation.lesion_marks import MarkedLesion, annotated_lesion, inserted_lesion
from lowdose.image import AIR, HU, Mask, Slice, mean_side
from lowdose.io.findings.finding import Part
from lowdose.io.pairing import PairedSeries
from lowdose.models.load import LoadedModel
from lowdose.networks import segmentation
from lowdose.networks.anatomy import Anatomy
from lowdose.phantom.lesion_sites import organ_masks

USUAL_MM = 3.0
"""Thickness of slices that state neither a thickness nor a distance."""


@dataclass(frozen=True)
class View:
    """A slice with its lesions in every image.

    Attributes
    ----------
    case : str
        Name of the case.
    patient, index : int
        Number of the patient, and index of the slice at full dose.
    position : float or None, mm
        Its position.
    aspect : float
        Height of a pixel over its width.
    lesions : list of MarkedLesion
        The lesions.
    images : dict of str to array
        (y, x) HU by image.
    contrasts : dict of str to array
        What contrast is measured in, (y, x) HU by image: what the lesions change; the image itself, if annotated.
    """

    case: str
    patient: int
    index: int
    position: float | None
    aspect: float
    lesions: list[MarkedLesion]
    images: dict[str, HU]
    contrasts: dict[str, HU]


@dataclass(frozen=True)
class PairedWindow:
    """A slice amid its neighbours at both doses, with the models that denoise it.

    Attributes
    ----------
    case : PairedSeries
        Its case.
    index : int
        Index at full dose.
    low, full : sequence of Slice
        2c + 1 slices.
    models : sequence of LoadedModel
        Models that are fitted to the case.
    strength : float
        Their strength.
    """

    case: PairedSeries
    index: int
    low: Sequence[Slice]
    full: Sequence[Slice]
    models: Sequence[LoadedModel]
    strength: float

    @property
    def original(self) -> Slice:
        """The slice itself at full dose."""
        return self.full[len(self.full) // 2]

    @property
    def sides_mm(self) -> tuple[float, float]:
        """Pixel size (y, x). Raises InvalidSetting where none is stated."""
        sides = self.original.pixel_mm or self.low[len(self.low) // 2].pixel_mm
        if sides is None:
            raise InvalidSetting(f"{self.case.name}: states no pixel size, and lesions have a size in mm; give --pixel")
        return sides

    def images(self, added: HU) -> dict[str, HU]:
        """Make all images with what is added to the slices, (2c+1, y, x) HU, and with air for padding."""
        middle = len(self.low) // 2
        own_low = self.low[middle]
        # Where the slice itself takes the place of a missing neighbour, it shows the same lesions.
        own = [added[middle] if item is own_low else plane for item, plane in zip(self.low, added, strict=True)]
        changed = [replace(item, hu=item.hu + plane) for item, plane in zip(self.low, own, strict=True)]
        denoised = denoise_with_each(self.models, changed, self.strength, defaultdict(list))
        images = {LOW: changed[middle].hu, **denoised, FULL: self.original.hu + added[middle]}
        return {name: np.where(self.valid, hu, AIR) for name, hu in images.items()}

    def view(self, lesions: list[MarkedLesion], images: dict[str, HU], contrasts: dict[str, HU]) -> View:
        """Return the slice with lesions."""
        sides, position = self.sides_mm, self.original.position
        facts = self.case.name, self.case.patient, self.index, position, sides[0] / sides[1]
        return View(*facts, lesions, images, contrasts)

    @property
    def valid(self) -> Mask:
        """Pixels, (y, x), that hold padding at neither dose."""
        return self.low[len(self.low) // 2].valid & self.original.valid


def inserted_views(window: PairedWindow, anatomy: Anatomy, draws: int, seed: Sequence[int]) -> Iterator[View]:
    """Yield a slice with each draw of lesions for which there is room."""
    classes = segmentation.segment_slice(anatomy, window.original.in_air, window.sides_mm)
    organs = organ_masks(np.where(window.valid, classes, 0), tuple(LESIONS))
    geometry = window.case.full.geometry
    step = geometry.spacing[0] if geometry else None
    thickness = window.case.full.acquisition.thickness_mm or step or USUAL_MM
    stack = np.stack([item.in_air for item in window.full])
    without: dict[str, HU] = {}
    for draw in range(draws):
        rng = np.random.default_rng((*seed, draw))
        added, found = draw_lesions(stack, organs, window.sides_mm, thickness, rng, step)
        if found:
            without = without or window.images(np.zeros_like(added))
            images = window.images(added)
            lesions = [inserted_lesion(each, images[FULL], mean_side(window.sides_mm)) for each in found]
            yield window.view(lesions, images, {name: hu - without[name] for name, hu in images.items()})


def annotated_view(window: PairedWindow, parts: Sequence[tuple[str, Part]]) -> View:
    """Return a slice with the lesions that were annotated in it."""
    images = window.images(np.zeros((len(window.low), *window.original.hu.shape), np.float32))
    pixel = mean_side(window.sides_mm)
    lesions = [annotated_lesion(label, part, images[FULL], window.valid, pixel) for label, part in parts]
    return window.view(lesions, images, images)
