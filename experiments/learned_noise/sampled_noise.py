"""Learn the noise of low-dose series, and compare what is sampled with real noise of whole slices that were held out.

    python -m experiments.learned_noise.sampled_noise OUT.csv FIGURE.png CT [--recipe noise_gan] [--set steps=3000]

CT: folder with ``low-dose/acrin-torso-ge-petct`` and ``pairs/mayo-2016``. Of the pairs, quarter dose alone is learned
from; full dose tells where the real noise of held-out slices is.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from scipy.ndimage import binary_erosion, binary_fill_holes, gaussian_filter, label

from experiments.common.csv_file import write_rows
from lowdose import recipes
from lowdose.data.normal_dose import NormalDoseSlice, normal_dose_slices
from lowdose.hounsfield import BODY_HU
from lowdose.image import HU, Mask
from lowdose.metrics.local_noise import noise_map, noise_map_correlation
from lowdose.metrics.noise_frequency import f_av
from lowdose.metrics.noise_power import detrend, nps_radial
from lowdose.networks.noise_vae import NoiseDecoder, read_noise_model
from lowdose.training.learned_noise.added_noise import LearnedNoise
from lowdose.training.learned_noise.data import noise_of_slices
from lowdose.training.learned_noise.flat_patches import SIDE, NoisePatches
from lowdose.training.learned_noise.recipe import NoiseRecipe
from lowdose.training.learned_noise.run import train_noise_model
from lowdose.training.runner import RunOptions

SERIES = {
    "acrin": ("low-dose/acrin-torso-ge-petct", None, 5),
    "L096 D45f": ("pairs/mayo-2016/L096-3mm-D45f/quarter", "pairs/mayo-2016/L096-3mm-D45f/full", 4),
    "L143 B30f": ("pairs/mayo-2016/L143-3mm-B30f/quarter", "pairs/mayo-2016/L143-3mm-B30f/full", 4),
}
"""Folder of low dose, of full dose, and one of how many slices is held out."""
MAPS = 6
"""Most held-out slices whose maps of local noise are compared."""


@dataclass(frozen=True)
class HeldOut:
    """A held-out slice: image, noise by full dose or what a Gaussian takes out, sampled noise, where they count."""

    hu: HU
    real: HU
    sampled: HU
    region: Mask


def main() -> None:
    """Learn, compare, write rows and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path)
    parser.add_argument("figure", type=Path)
    parser.add_argument("ct", type=Path)
    parser.add_argument("--recipe", default="noise_vae")
    parser.add_argument("--series", nargs="*", default=list(SERIES))
    parser.add_argument("--set", nargs="*", default=[], dest="settings")
    arguments = parser.parse_args()
    rows, shown = list[dict[str, object]](), list[tuple[str, HeldOut]]()
    for name in arguments.series:
        row, first = compare(name, arguments.ct, arguments.recipe, dict(text.split("=") for text in arguments.settings))
        rows.append({"recipe": arguments.recipe, "settings": " ".join(arguments.settings), **row})
        shown.append((name, first))
        print(rows[-1], flush=True)
    write_rows(arguments.out, rows)
    draw(arguments.figure, shown)


def compare(name: str, ct: Path, recipe: str, settings: dict[str, str]) -> tuple[dict[str, object], HeldOut]:
    """Learn the noise of one series; return the row of its comparison, and one held-out slice to show."""
    low, full, every = SERIES[name]
    with ExitStack() as stack:
        items = normal_dose_slices(stack, [ct / low], any_dose=True)[0]
        partners = normal_dose_slices(stack, [ct / full], any_dose=True)[0] if full else [None] * len(items)
        held = set(range(every // 2, len(items), every))
        decoder, seconds = learned([item for n, item in enumerate(items) if n not in held], recipe, settings)
        patches = noise_of_slices([items[n] for n in sorted(held)])
        chosen = sorted(held)[:: max(1, len(held) // MAPS)][:MAPS]
        slices = [held_out_slice(decoder, items[n], partners[n], n) for n in chosen]
    correlations = [
        noise_map_correlation(noise_map(s.real, s.region), noise_map(s.sampled, s.region), s.region) for s in slices
    ]
    anatomy = [abs(np.corrcoef(s.sampled[s.region], gaussian_filter(s.hu, 2)[s.region])[0, 1]) for s in slices]
    row = {
        "series": name, "slices": len(items) - len(held), "held_out": len(held), "training_s": round(seconds),
        **compared_patches(decoder, patches),
        "map_correlation": round(float(np.median(correlations)), 3),
        "map_correlations": " ".join(f"{value:.2f}" for value in correlations),
        "sampled_mean": round(float(np.mean([s.sampled[s.region].mean() for s in slices])), 3),
        "correlation_with_anatomy": round(float(max(anatomy)), 3),
    }  # fmt: skip
    return row, slices[len(slices) // 2]


def learned(items: Sequence[NormalDoseSlice], recipe: str, settings: dict[str, str]) -> tuple[NoiseDecoder, float]:
    """Train a noise model; also return the processor time in seconds."""
    import time

    found = recipes.get_recipe(recipe)
    assert isinstance(found, NoiseRecipe)
    h = found.hyperparameters.with_values({"held_out_share": "0", "slices": "0", **settings})
    started = time.process_time()
    with TemporaryDirectory() as folder:
        run = Path(folder) / "run"
        options = RunOptions("cpu")
        train_noise_model(recipe, replace(found, hyperparameters=h), items, run, options, print, report)
        return read_noise_model(run)[0], time.process_time() - started


def report(step: int, steps: int, loss: float, seconds_left: float) -> None:
    if step % 250 == 0 or step == steps:
        print(f"step {step}/{steps}  loss {loss:.4g}  {seconds_left:.0f} s left", flush=True)


def compared_patches(decoder: NoiseDecoder, real: NoisePatches) -> dict[str, object]:
    """Compare flat patches of held-out slices with samples for the same places."""
    import torch

    side = SIDE + 2 * decoder.margin
    rng = np.random.default_rng(0)
    places = torch.from_numpy(real.conditions)[..., None, None]
    white = [
        torch.from_numpy(rng.standard_normal((len(part), decoder.settings.components, side, side), np.float32))
        for part in places.split(64)
    ]
    with torch.inference_mode():
        parts = [decoder(*pair)[:, 0].numpy() for pair in zip(white, places.split(64), strict=True)]
    sampled, pixel = np.concatenate(parts), float(np.median(real.pixel_mm))
    sds = [float(detrend(noise).std()) for noise in (real.noise, sampled)]
    frequencies = [f_av(nps_radial(noise, pixel)) for noise in (real.noise, sampled)]
    return {
        "patches": len(sampled), "sd_real": round(sds[0], 2), "sd_sampled": round(sds[1], 2),
        "f_av_real": round(frequencies[0], 4), "f_av_sampled": round(frequencies[1], 4),
        "patch_mean": round(float(sampled.mean()), 3),
    }  # fmt: skip


def held_out_slice(decoder: NoiseDecoder, low: NormalDoseSlice, full: NormalDoseSlice | None, number: int) -> HeldOut:
    """Return a slice with its real noise and one sample for it.

    With full dose, real noise is the difference over the whole body. Without, it is what a Gaussian of 1.5 mm takes out
    of the image, over the half of the soft tissue that is flattest, and the same is done to the sample.
    """
    hu, pixel = low.read(), float(np.mean(low.pixel_mm or (1.0, 1.0)))
    noise, window = LearnedNoise(decoder), (slice(0, hu.shape[0]), slice(0, hu.shape[1]))
    sampled = noise.draw(noise.of_slice(hu, pixel), hu.shape, window, hu, pixel, np.random.default_rng(number))
    body = inside_body(hu, pixel)
    if full is not None:
        return HeldOut(hu, hu - full.read(), sampled, body)
    smooth = gaussian_filter(hu, 2.5 / pixel)
    slope = gaussian_filter(np.hypot(*np.gradient(smooth)), 2.5 / pixel)
    tissue = body & (smooth > -150) & (smooth < 250)
    rest = [image - gaussian_filter(image, 1.5 / pixel) for image in (hu, sampled)]
    return HeldOut(hu, rest[0], rest[1], tissue & (slope < np.median(slope[tissue])))


def inside_body(hu: HU, pixel_mm: float) -> Mask:
    """Return the largest region above -300 HU with its holes filled, less 5 mm at its border."""
    parts, _ = label(gaussian_filter(hu, 2 / pixel_mm) > BODY_HU)
    largest = int(np.argmax(np.bincount(parts.ravel())[1:])) + 1
    mask: NDArray[np.bool_] = binary_erosion(binary_fill_holes(parts == largest), iterations=round(5 / pixel_mm))
    return mask


def draw(path: Path, shown: Sequence[tuple[str, HeldOut]]) -> None:
    """Draw image, real noise, sampled noise and both maps of one held-out slice of each series."""
    titles = ("low dose, held out", "its real noise", "sampled noise", "local SD, real", "local SD, sampled")
    figure, axes = plt.subplots(len(shown), 5, figsize=(15, 3.1 * len(shown) + 0.3), squeeze=False)
    for row, (name, one) in zip(axes, shown, strict=True):
        sd = float(one.real[one.region].std())
        maps = [noise_map(image, one.region) for image in (one.real, one.sampled)]
        row[0].imshow(one.hu, cmap="gray", vmin=-160, vmax=240)
        for axis, image in zip(row[1:3], (one.real, one.sampled), strict=True):
            axis.imshow(image, cmap="gray", vmin=-3 * sd, vmax=3 * sd)
        for axis, image in zip(row[3:], maps, strict=True):
            axis.imshow(image, vmin=0.5 * sd, vmax=1.5 * sd)
        row[0].set_ylabel(name)
        for axis in row:
            axis.set_xticks([])
            axis.set_yticks([])
    for axis, title in zip(axes[0], titles, strict=True):
        axis.set_title(title, fontsize=10)
    figure.savefig(path, dpi=80, bbox_inches="tight")


if __name__ == "__main__":
    main()
