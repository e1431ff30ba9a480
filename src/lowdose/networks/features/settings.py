"""The JSON files beside pretrained weights: what the network is, and how its training images were normalised."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lowdose.errors import IncompatibleCheckpoint
from lowdose.networks.features.input_transform import ChannelStatistics


def read_settings(path: Path) -> dict[str, Any]:
    """A JSON object. Raises IncompatibleCheckpoint for anything else."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise IncompatibleCheckpoint(f"{path}: cannot be read as JSON ({error}); copy it again") from error
    if not isinstance(found, dict):
        raise IncompatibleCheckpoint(f"{path}: holds no settings by name; copy it again")
    return found


def input_statistics(path: Path, normal: ChannelStatistics, side: int) -> tuple[ChannelStatistics, int]:
    """Normalisation of inputs in [0, 1] and side of the training images, as a preprocessor_config.json states them.

    ``normal`` and ``side`` hold where there is no such file, or it does not say. Raises IncompatibleCheckpoint for
    numbers that have no meaning.
    """
    if not path.is_file():
        return normal, side
    found = read_settings(path)
    try:
        return _normal(found, normal), _side(found, side)
    except (TypeError, ValueError, ZeroDivisionError) as error:
        raise IncompatibleCheckpoint(
            f"{path}: image_mean, image_std, rescale_factor or sizes have no meaning ({error}); copy it again, or "
            "remove it to take the usual numbers of the family"
        ) from error


def _normal(found: Mapping[str, Any], usual: ChannelStatistics) -> ChannelStatistics:
    # Their images are 0 to 255, times the rescale factor; here 1 stands for 255.
    factor = 255 * float(found.get("rescale_factor", 1 / 255)) if found.get("do_rescale", True) else 255.0
    plain = not found.get("do_normalize", True)
    mean = (0.0,) * 3 if plain else found.get("image_mean", usual.mean)
    std = (1.0,) * 3 if plain else found.get("image_std", usual.std)
    means, stds = ([float(value) / factor for value in values] for values in (mean, std))
    if len(means) != 3 or len(stds) != 3 or not all(0 < value < float("inf") for value in stds):
        raise ValueError(f"mean {mean}, deviation {std}: needs three each, the deviations above 0")
    return ChannelStatistics((means[0], means[1], means[2]), (stds[0], stds[1], stds[2]))


def _side(found: Mapping[str, Any], usual: int) -> int:
    cropped = found.get("do_center_crop", "crop_size" in found)
    size = found.get("crop_size" if cropped else "size", usual)
    if isinstance(size, Mapping):
        size = size.get("height", size.get("shortest_edge", usual))
    if int(size) < 1:
        raise ValueError(f"size {size}: needs 1 or more")
    return int(size)
