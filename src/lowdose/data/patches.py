"""Random patches from paired slices.

Patch n depends on (seed, n) only: not on the number of workers or processes, nor on whether a run was resumed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from itertools import count as counting
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset

from lowdose.batch import PairedBatch
from lowdose.data.augmentation import MARGIN, Augmentation, PatchVariation, apply_variation, lesion_template
from lowdose.data.pairs import PairedSlice
from lowdose.data.patch_boxes import LESION, move_boxes
from lowdose.data.patch_fields import USUAL, join_patches
from lowdose.data.patch_lesions import PatchLesion, draw_lesion
from lowdose.data.patch_source import PatchSource, PatchSources, Region
from lowdose.errors import InvalidSetting
from lowdose.image import HU
from lowdose.phantom.lesion_kinds import LARGEST_MM, SMALLEST_MM

USUAL_MULTIPLE = 16
"""Sides of patches that all networks take are multiples of this."""
CONTEXT_DROP_RATE = 0.05
"""Share of patches in which the slice itself replaces its neighbours, drawn for each side independently.

It imitates the ends of a series and gaps in it."""
COMPLETE_SHARE = 0.75
"""Least share of the patches that come from slices with all their neighbours, where there are any.

Such slices are rare among the single slices of many patients, but most slices that are denoised have neighbours."""
UNKNOWN_PIXEL_MM = 0.75
"""Pixel size (mm) assumed where the data state none; it is not recorded as part of the model's range."""
UNKNOWN_THICKNESS_MM = 3.0
"""Slice thickness (mm) assumed for lesions where the data state none."""
LESION_STREAM = 4021
"""Number of the stream of random numbers for lesions: drawn apart, they leave patches without a lesion as they are."""
UNPAIRED_STREAM = 4022
"""Number of the stream of random numbers for unpaired patches."""


def draw_dropped(count: int, rng: np.random.Generator) -> list[int]:
    """Return which of ``count`` = 2c+1 images the middle one replaces: the neighbours on each side at random."""
    middle = count // 2
    sides = (range(middle), range(middle + 1, count))
    return [place for side in sides if middle and rng.random() < CONTEXT_DROP_RATE for place in side]


def draw_slice(count: int, complete: Sequence[int], rng: np.random.Generator) -> int:
    """Draw one of ``count`` slices, with a probability of at least ``COMPLETE_SHARE`` one of ``complete``."""
    which = int(rng.integers(count))
    rare = 0 < len(complete) < COMPLETE_SHARE * count
    if rare and rng.random() * (1 - len(complete) / count) < COMPLETE_SHARE - len(complete) / count:
        return complete[int(rng.integers(len(complete)))]
    return which


class ChosenWindow(NamedTuple):
    """Where a patch is cropped from, and how it is varied.

    Attributes
    ----------
    rng : Generator
        Generator of the patch, for what is drawn next.
    number : int
        Number of the slice.
    images : PatchSource
        The slice.
    pixel_mm : mm
        Its pixel size.
    variation : PatchVariation
        How the patch is varied.
    window : (slice, slice)
        Rows and columns to crop.
    """

    rng: np.random.Generator
    number: int
    images: PatchSource
    pixel_mm: float
    variation: PatchVariation
    window: Region


def draw_turn(rng: np.random.Generator) -> tuple[int, bool]:
    """Draw the quarter turns of a patch, and whether it is mirrored."""
    return int(rng.integers(4)), bool(rng.integers(2))


class Patches(Dataset[Mapping[str, torch.Tensor]]):
    """Random training patches: item n has the given ``fields`` of ``batch.PairedBatch`` by name.

    ``low`` is (2c+1, size, size) HU, ``full`` is (1, size, size) HU; the other fields are as in a batch, without its
    first axis. Slice, position, flip and quarter turns are random. With a ``lesion_share`` above 0, lesions are
    inserted into that share of the patches, as far as they have room (``patch_lesions``), of ``diameters_mm``.
    """

    def __init__(
        self,
        slices: PatchSources,
        size: int,
        augmentation: Augmentation,
        seed: int,
        lesion_share: float = 0.0,
        fields: Sequence[str] = USUAL,
        diameters_mm: tuple[float, float] = (SMALLEST_MM, LARGEST_MM),
    ) -> None:
        self.diameters_mm = diameters_mm
        self.slices, self.size, self.augmentation, self.seed = slices, size, augmentation, seed
        self.lesion_share, self.fields = lesion_share, tuple(fields)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        """Return patch ``index``, which depends on (seed, index) only."""
        rng, which, images, pixel, variation, window = self.choose(index)
        low, full, dose = images.crop(window, rng)
        side, item = self.size + 2 * MARGIN, self.slices.items[which]
        zoom = side / low.shape[-1]
        lesion = self._insert_lesion(index, low, full, item, MARGIN / zoom)
        dropped = draw_dropped(len(low), rng)
        low[dropped], full[dropped] = low[len(low) // 2], full[len(low) // 2]
        neighbours = "full_context" in self.fields
        varied = apply_variation(low, full, variation, pixel, images.cutoff, side, neighbours)[
            :, MARGIN:-MARGIN, MARGIN:-MARGIN
        ]
        if "lesion" in self.fields:
            template = lesion_template(lesion, variation, pixel, images.cutoff, side)
            varied = np.concatenate([varied, template[None]])
        turns, mirrored = draw_turn(rng)
        patch, count = _turned(varied, turns, mirrored), len(low)
        target = count + (count // 2 if neighbours else 0)
        parts = {
            "low": patch[:count],
            "full": patch[target : target + 1],
            "full_context": patch[count : 2 * count],
            "lesion": patch[-1:],
            "dose": torch.tensor(dose, dtype=torch.float32),
        }
        if "boxes" in self.fields:
            parts |= self._boxes(item, lesion, window, zoom, turns, mirrored)
        if "position" in self.fields:
            parts["position"] = self._position(which, window, images.shape)
        if "unpaired" in self.fields:
            parts["unpaired"] = self._unpaired(index, which)
        return {name: parts[name] for name in (*self.fields, *(("labels",) if "boxes" in self.fields else ()))}

    def join(self, patches: Sequence[Mapping[str, torch.Tensor]]) -> PairedBatch:
        """Join patches to a batch."""
        return join_patches(patches)

    def _boxes(
        self, item: PairedSlice, lesion: PatchLesion | None, window: Region, zoom: float, turns: int, mirrored: bool
    ) -> dict[str, torch.Tensor]:
        """Return boxes and labels of annotated findings and of an inserted lesion, as they lie in the patch."""
        rows, columns = (part.start for part in window)
        boxes, labels = [box for box, _ in item.boxes], [label for _, label in item.boxes]
        if lesion is not None:
            top, left, bottom, right = lesion.box
            boxes.append((top + rows, left + columns, bottom + rows, right + columns))
            labels.append(LESION)
        corner = (rows + MARGIN / zoom, columns + MARGIN / zoom)
        moved, seen = move_boxes(boxes, corner, zoom, self.size, turns, mirrored)
        return {
            "boxes": torch.from_numpy(moved[seen].copy()),
            "labels": torch.tensor(labels, dtype=torch.int64)[torch.from_numpy(seen)],
        }

    @cached_property
    def _last_places(self) -> dict[str, int]:
        """Place of the last slice of each stack."""
        positions = [item.stack_position for item in self.slices.items if item.stack_position is not None]
        return {position.name: position.place for position in sorted(positions, key=lambda one: one.place)}

    def _position(self, which: int, window: Region, shape: tuple[int, ...]) -> torch.Tensor:
        """Return where the patch lies, as in ``batch.PairedBatch.position``."""
        stack = self.slices.items[which].stack_position
        place = float("nan") if stack is None else stack.place / max(self._last_places[stack.name], 1)
        centre = [(part.start + part.stop) / (2 * length) for part, length in zip(window, shape, strict=True)]
        return torch.tensor([place, *centre], dtype=torch.float32)

    def _unpaired(self, index: int, own: int) -> torch.Tensor:
        """Return a low-dose patch of another slice than ``own``, where there is another."""
        draws = (self.choose(index, UNPAIRED_STREAM, turn) for turn in counting())
        rng, _, images, pixel, variation, window = next(
            drawn for drawn in draws if drawn.number != own or len(self.slices) == 1
        )
        low, full, _ = images.crop(window, rng)
        side = self.size + 2 * MARGIN
        varied = apply_variation(low, full, variation, pixel, images.cutoff, side)[:-1, MARGIN:-MARGIN, MARGIN:-MARGIN]
        return _turned(varied, *draw_turn(rng))

    def choose(self, index: int, *stream: int) -> ChosenWindow:
        """Choose slice, variation and window of patch ``index``; another ``stream`` of random numbers, other ones."""
        rng = np.random.default_rng((self.seed, index, *stream))
        which = draw_slice(len(self.slices), self.slices.complete, rng)
        images, pixel = self.slices[which], self.slices.items[which].pixel_mm or UNKNOWN_PIXEL_MM
        variation, side = self.augmentation.draw(pixel, rng), self.size + 2 * MARGIN
        crop_side = min(round(side * (variation.pixel_mm or pixel) / pixel), *images.shape)
        return ChosenWindow(rng, which, images, pixel, variation, self._crop(images, crop_side, rng))

    def _insert_lesion(self, index: int, low: HU, full: HU, item: PairedSlice, border_px: float) -> PatchLesion | None:
        """Insert a lesion into both images, in place, in ``lesion_share`` of the patches; return it."""
        rng = np.random.default_rng((self.seed, index, LESION_STREAM))
        if rng.random() >= self.lesion_share:
            return None
        thickness = item.thickness_mm or UNKNOWN_THICKNESS_MM
        overlap = item.stack_position.overlap if item.stack_position else 0.0
        step = max(1.0 - overlap, 0.05) * thickness
        pixel = item.pixel_mm or UNKNOWN_PIXEL_MM
        lesion = draw_lesion(full, pixel, thickness, step, border_px, rng, self.diameters_mm)
        if lesion is not None:
            low += lesion.added
            full += lesion.added
        return lesion

    def _crop(self, images: PatchSource, side: int, rng: np.random.Generator) -> Region:
        """Choose, of two random windows, the one with more tissue, since much of a slice is air."""
        check_patch(self.size, images.shape)
        corners = [[int(rng.integers(n - side + 1)) for n in images.shape] for _ in range(2)]
        windows = [(slice(y, y + side), slice(x, x + side)) for y, x in corners]
        return max(windows, key=images.tissue_pixels)


def check_patch(size: int, shape: tuple[int, ...]) -> None:
    """Raise InvalidSetting when patches of ``size`` pixels a side do not fit into slices of this shape."""
    largest = min(shape) - 2 * MARGIN
    if size <= largest:
        return
    fitting = largest // USUAL_MULTIPLE * USUAL_MULTIPLE
    way_out = f"--set patch={fitting}, or leave out such series" if fitting > 0 else "leave out such series"
    raise InvalidSetting(
        f"slices of {shape[0]} x {shape[1]} pixels are too small for patches of {size} and {MARGIN} around them: "
        f"{way_out}"
    )


def _turned(images: HU, turns: int, mirrored: bool) -> torch.Tensor:
    """Turn images (n, size, size) by quarter turns, then mirror them left to right."""
    rotated = np.rot90(images, turns, (1, 2))
    return torch.from_numpy((rotated[..., ::-1] if mirrored else rotated).copy())
