"""Noise bank: a few noise realisations of each slice, from which patches at any dose are simulated quickly.

A dose fraction a adds the variance V = q Q + e E to each pixel, where Q is the variance due to photons at full dose and
E the variance due to electronic noise, q = (1 - a) / a and e = (1 - a^2) / a^2 = q (q + 2) (Yu et al., JCAT 2012).
Therefore noise n1 and n2, simulated exactly at two doses, the levels, gives the noise of any dose in between as
w1 n1 + w2 n2 (``level_weights``). The bias of the logarithm is half the relative variance of the counts, so biases are
combined with the squares of the weights.

A bank is a folder: ``plan.json`` holds its plan, one memory-mapped int16 array for each matrix size holds the images,
and ``built-*.jsonl`` has a line for each slice whose images have been written.
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
"""Largest random shift of the noise in pixels: over this distance its strength hardly changes, but its values do."""


def level_weights(dose: float, flux: float = 1.0, doses: Sequence[float] = LEVELS) -> list[float]:
    """Compute the weight of each dose level for the noise at fraction ``dose`` with ``flux`` times the photons.

    Two neighbouring levels solve w1^2 q1 + w2^2 q2 = q / flux and w1^2 e1 + w2^2 e2 = e / flux^2. The first equation
    always holds, so the photon noise is exact. The second holds where neither square has to be negative, which for
    ``flux`` = 1 is from the first to the last level. Above the last level, that level alone is scaled; its electronic
    part is then too large by a factor of up to (q2 + 2) / (q + 2), which is 1.5 for a part that is below one per cent
    where there are 1000 photons or more.
    """
    q, steps = 1 / dose - 1, [1 / level - 1 for level in doses]
    photons = q / flux
    # Since e / q = q + 2, the second equation fixes the mean of q1 and q2, weighted by shares of the photon noise.
    target = min(max((q + 2) / flux - 2, steps[-1]), steps[0])
    upper = next(place for place in range(1, len(steps)) if target >= steps[place])
    share = (target - steps[upper]) / (steps[upper - 1] - steps[upper])
    weights = [0.0] * len(steps)
    weights[upper - 1] = (photons * share / steps[upper - 1]) ** 0.5
    weights[upper] = (photons * (1 - share) / steps[upper]) ** 0.5
    return weights


class WeightedPlane(NamedTuple):
    """Window of one plane of a slice, with a weight: a summand of an image.

    Attributes
    ----------
    plane : int
        Index of the plane.
    window : (slice, slice)
        Rows and columns.
    weight : float
        HU per stored unit.
    """

    plane: int
    window: Region
    weight: float


NoiseTerms = list[tuple[WeightedPlane, WeightedPlane]]
"""Noise as a sum over dose levels, for each of which there are the bias and one realisation."""


class NoisySlice(NamedTuple):
    """Full-dose image and noise realisations of one slice of a bank.

    Attributes
    ----------
    planes : (planes, y, x) int16
        Memory-mapped images: full dose, then the bias and the realisations of each dose level.
    scales : (planes,) HU
        HU per unit of each plane.
    doses : tuple of float
        Dose levels.
    cutoff : 1/mm or None
        Cut-off frequency of the Hann kernel that the noise was simulated with; None = another kind of kernel.
    """

    planes: Int16Image
    scales: NDArray[np.float32]
    doses: tuple[float, ...]
    cutoff: float | None

    def full(self, window: Region) -> HU:
        """Return a window of the full-dose image, (y, x) whole HU."""
        return np.asarray(self.planes[FULL_DOSE_PLANE][window], np.float32)

    def noise(self, window: Region, dose: float, flux: float, rng: np.random.Generator) -> HU:
        """Return the noise that ``dose`` adds in a window, (y, x) HU, from a random realisation with a random shift."""
        return self.sum_noise(self.draw_noise(window, dose, flux, rng), window)

    def draw_noise(self, window: Region, dose: float, flux: float, rng: np.random.Generator) -> NoiseTerms:
        """Draw the planes whose sum is the noise that ``dose`` adds in a window."""
        planes_per_level = (len(self.planes) - 1) // len(self.doses)
        terms: NoiseTerms = []
        for level, weight in enumerate(level_weights(dose, flux, self.doses)):
            if weight > 0:
                bias = 1 + level * planes_per_level
                pick, down, right = rng.random(3)
                plane = bias + 1 + int(pick * (planes_per_level - 1))
                shifted = self._shifted_window(window, (down, right))
                terms.append((self._weighted(bias, window, weight**2), self._weighted(plane, shifted, weight)))
        return terms

    def sum_noise(self, terms: NoiseTerms, window: Region) -> HU:
        """Add up noise that was drawn for a window, to (y, x) HU."""
        parts = [self._scaled(bias) + self._scaled(realisation) for bias, realisation in terms]
        return sum(parts[1:], parts[0]) if parts else np.zeros_like(self.full(window))

    def _weighted(self, plane: int, window: Region, weight: float) -> WeightedPlane:
        return WeightedPlane(plane, window, float(np.float32(weight * self.scales[plane])))

    def _scaled(self, term: WeightedPlane) -> HU:
        return np.asarray(self.planes[term.plane][term.window] * np.float32(term.weight))

    def _shifted_window(self, window: Region, chances: tuple[float, float]) -> Region:
        """Shift a window by up to ``MAX_SHIFT`` pixels within the image; chances: numbers in [0, 1) for both axes."""
        moved = []
        for part, chance, side in zip(window, chances, self.planes.shape[1:], strict=True):
            first, last = max(-MAX_SHIFT, -part.start), min(MAX_SHIFT, side - part.stop)
            offset = first + int(chance * (last - first + 1))
            moved.append(slice(part.start + offset, part.stop + offset))
        return moved[0], moved[1]


class NoiseBank:
    """Slices built so far in the folder of a bank.

    Can be sent to another process. Raises IncompatiblePack when there is no bank or it is damaged.

    Attributes
    ----------
    folder : Path
        Folder of the bank.
    plan : Plan
        Its plan.
    built : dict of str to (planes,) HU
        Scales (HU per unit) of the planes of each built slice, by key.
    left_out : dict of str to str
        Why a slice was left out, by key.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.plan = read_plan(folder)
        self.built: dict[str, NDArray[np.float32]] = {}
        self._cutoffs: dict[str, float] = {}
        self.left_out: dict[str, str] = {}
        for file in sorted(folder.glob("built-*.jsonl")):
            for line in file.read_text(encoding="utf-8", errors="replace").splitlines():
                self._read_line(line)

    def known(self, key: str) -> bool:
        """Check whether a slice has been built or left out."""
        return key in self.built or key in self.left_out

    def __getitem__(self, key: str) -> NoisySlice:
        """Return a slice that has been built, by key."""
        planes = self._arrays[self.plan.slices[key]][self.plan.rows[key]]
        return NoisySlice(planes, self.built[key], self.plan.doses, self._cutoffs.get(key))

    def _read_line(self, line: str) -> None:
        """Read a line of the log; an incomplete one of an interrupted build is ignored, so its slice is built again."""
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
        return {size: self._open_array(size) for size in set(self.plan.slices.values())}

    def _open_array(self, size: Shape) -> Int16Image:
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
