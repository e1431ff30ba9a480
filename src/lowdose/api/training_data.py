"""Volumes as the folders that a training reads."""

from __future__ import annotations

from contextlib import ExitStack
from os import PathLike
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from lowdose.api.checks import path_of
from lowdose.errors import InvalidSetting
from lowdose.training.recipe import NOISY
from lowdose.volume import Volume

TrainingInput = str | PathLike[str] | Volume | tuple[Volume, Volume]
"""A folder or pack, a volume of normal dose, or (low dose, full dose)."""


PAIRED: dict[str | None, bool] = {
    None: True,
    "folders": True,
    **dict.fromkeys(("simulated", "none", *NOISY), False),
}
"""Whether a pairing of the package trains on pairs of volumes, by its name."""


def training_folders(stack: ExitStack, data: Any, pairing: str | None) -> list[Path]:
    """Return folders to train on; volumes are written to one that lives as long as ``stack``.

    Raises InvalidSetting for single volumes where pairs are needed, and the other way round.
    """
    if data is None:
        return []
    pair = isinstance(data, tuple) and all(isinstance(item, Volume) for item in data)
    items = list(data) if isinstance(data, (list, tuple)) and not pair else [data]
    folders = [path_of(item, "data") for item in items if isinstance(item, (str, PathLike))]
    volumes = [item for item in items if not isinstance(item, (str, PathLike))]
    if volumes:
        scratch = Path(stack.enter_context(TemporaryDirectory(prefix="lowdose-")))
        for number, item in enumerate(volumes, start=1):
            _write(item, scratch / f"{number}", paired=PAIRED.get(pairing))
        folders.append(scratch)
    return folders


def _write(item: Any, folder: Path, paired: bool | None) -> None:
    """Write a pair or a single volume; ``paired`` says which is wanted, None = either."""
    folder.mkdir()
    if paired is not False and isinstance(item, tuple) and len(item) == 2:
        parts = {"quarter.npz": item[0], "full.npz": item[1]}
    elif not paired and isinstance(item, Volume):
        parts = {"full.npz": item}
    else:
        wanted = "pairs (low, full) of volumes" if paired else "volumes of normal dose"
        raise InvalidSetting(f"data: {type(item).__name__}; this pairing trains on folders, packs or {wanted}")
    for name, volume in parts.items():
        # Without its origin, so that it is written as an array and not as a copy of what it was read from.
        Volume(volume.hu, volume.geometry, volume.acquisition, volume.valid).save(folder / name)
