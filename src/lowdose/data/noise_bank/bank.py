"""The fast mode of the dose simulator: a few noise realisations a slice, from which patches of any dose are made.

A dose fraction a adds the variance V = q Q + e E to each pixel, where Q is the variance that photons give at full dose
and E that of the electronics, q = (1 - a) / a and e = (1 - a^2) / a^2 = q (q + 2) (Yu et al., JCAT 2012). So noise n1
and n2, simulated exactly at two doses, the levels, give that of any dose between as w1 n1 + w2 n2 (``mix``). The bias
of the logarithm is half the relative variance of the counts, so it is mixed with the squares of the weights.

A bank is a folder: ``plan.json`` says what it is for, one mapped int16 array for each matrix size holds the images, and
a line of ``built-*.jsonl`` for each slice says that its images are there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lowdose.data.noise_bank.plan import FULL_DOSE_PLANE, PLAN, Shape, array_name, dose_levels, read_plan
from lowdose.data.pack.index import Int16Image
from lowdose.data.patch_source import Region
from lowdose.errors import IncompatiblePack
from lowdose.image import HU

LEVELS = dose_levels()
MAX_SHIFT = 8
"""Noise is taken from up to so many pixels beside its place: its strength hardly changes over that, its values do."""


def level_weights(dose: float, flux: float = 1.0, doses: Sequence[float] = LEVELS) -> list[float]:
    """The weight of a realisation of each level for dose fraction ``dose`` of a scan with ``flux`` times the photons.

    Two neighbouring levels solve w1^2 q1 + w2^2 q2 = q / flux and w1^2 e1 + w2^2 e2 = e / flux^2. The first always
    holds, so the noise of the photons is exact; the second where no square has to be negative, which without ``flux``
    is from the first to the last level. Above that the last level alone is scaled, whose electronic part is then up to
    (q2 + 2) / (q + 2) too large: by half, of a part that is below one per cent where there are 1000 photons or more.
    """
    q, steps = 1 / dose - 1, [1 / level - 1 for level in doses]
    photons = q / flux
    # e / q = q + 2, so the second equation asks for this mean of q1 and q2 under the shares of the photon noise
    middle = min(max((q + 2) / flux - 2, steps[-1]), steps[0])
    upper = next(place for place in range(1, len(steps)) if middle >= steps[place])
    share = (middle - steps[upper]) / (steps[upper - 1] - steps[upper])
    weights = [0.0] * len(steps)
    weights[upper - 1] = (photons * share / steps[upper - 1]) ** 0.5
    weights[upper] = (photons * (1 - share) / steps[upper]) ** 0.5
    return weights


class NoisySlice(NamedTuple):
    """One slice of a bank. planes: (planes, y, x) int16, mapped. scales: (planes,) HU of a unit. doses: the levels.

    cutoff: 1/mm, of the Hann kernel that its noise was made with; None = another kind of kernel.
    """

    planes: Int16Image
    scales: NDArray[np.float32]
    doses: tuple[float, ...]
    cutoff: float | None

    def full(self, window: Region) -> HU:
        """Full dose, (y, x) HU, whole numbers."""
        return np.asarray(self.planes[FULL_DOSE_PLANE][window], np.float32)

    def noise(self, window: Region, dose: float, flux: float, rng: np.random.Generator) -> HU:
        """What ``dose`` adds in a window, (y, x) HU, each time from another realisation, moved by another shift."""
        each = (len(self.planes) - 1) // len(self.doses)
        parts = []
        for level, weight in enumerate(level_weights(dose, flux, self.doses)):
            if weight > 0:
                bias = 1 + level * each
                pick, down, right = rng.random(3)
                plane = bias + 1 + int(pick * (each - 1))
                parts.append(self._times(bias, window, weight**2))
                parts[-1] += self._times(plane, self._shifted(window, (down, right)), weight)
        return sum(parts[1:], parts[0]) if parts else np.zeros_like(self.full(window))

    def _times(self, plane: int, window: Region, weight: float) -> HU:
        return np.asarray(self.planes[plane][window] * np.float32(weight * self.scales[plane]))

    def _shifted(self, window: Region, chances: tuple[float, float]) -> Region:
        """Moved by up to SHIFT pixels, as far as it stays inside."""
        moved = []
        for part, chance, side in zip(window, chances, self.planes.shape[1:], strict=True):
            first, last = max(-MAX_SHIFT, -part.start), min(MAX_SHIFT, side - part.stop)
            offset = first + int(chance * (last - first + 1))
            moved.append(slice(part.start + offset, part.stop + offset))
        return moved[0], moved[1]


class NoiseBank:
    """What has been built in a folder so far: scales and, of what was left out, why, by key.

    May be sent to another process. Raises IncompatiblePack when there is no bank or it is damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = read_plan(folder)
        self.built: dict[str, NDArray[np.float32]] = {}
        self._cutoffs: dict[str, float] = {}
        self.left_out: dict[str, str] = {}
        for file in sorted(folder.glob("built-*.jsonl")):
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                self._take(line)

    def known(self, key: str) -> bool:
        """Whether a slice has been built or left out."""
        return key in self.built or key in self.left_out

    def __getitem__(self, key: str) -> NoisySlice:
        """A slice that has been built."""
        planes = self._arrays[self.plan.slices[key]][self.plan.rows[key]]
        return NoisySlice(planes, self.built[key], self.plan.doses, self._cutoffs.get(key))

    def _take(self, line: str) -> None:
        """A line that is torn, since its writer was ended, counts for nothing: the slice is built again."""
        try:
            content = json.loads(line)
            key, reason = str(content["key"]), content.get("left_out")
            scales = np.asarray(content.get("scales", []), np.float32)
        except (ValueError, TypeError, KeyError, AttributeError):
            return
        if key in self.plan.slices and isinstance(reason, str):
            self.left_out[key] = reason
        elif key in self.plan.slices and scales.shape == (self.plan.planes,) and bool((scales > 0).all()):
            self.built[key] = scales
            if hann := re.search(r"Hann ([\d.]+)/mm", str(content.get("kernel"))):
                self._cutoffs[key] = float(hann[1])

    def __getstate__(self) -> dict[str, Any]:
        state = self.__dict__.copy()
        state.pop("_arrays", None)  # a mapped array would be sent as all of its values
        return state

    @cached_property
    def _arrays(self) -> dict[Shape, Int16Image]:
        return {size: self._open(size) for size in set(self.plan.slices.values())}

    def _open(self, size: Shape) -> Int16Image:
        path = self.folder / array_name(size)
        try:
            mapped = np.load(path, mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError, EOFError, SyntaxError, OverflowError) as error:
            raise IncompatiblePack(
                f"{path}: is missing, damaged or cut short; remove the folder, it is built again"
            ) from error
        if mapped.dtype != np.dtype("<i2") or mapped.shape != self.plan.array_shape(size):
            raise IncompatiblePack(
                f"{path}: holds {mapped.dtype} {mapped.shape}, not what {PLAN} lists; remove the folder, it is built "
                "again"
            )
        return np.asarray(mapped.view(np.ndarray))  # a plain view: np.memmap is slow to index
