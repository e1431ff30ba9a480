"""What `denoise` returns: a denoised series, and the files that go with it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from os import PathLike
from pathlib import Path
from typing import Any

from lowdose.api.checks import path_of
from lowdose.api.html import picture
from lowdose.api.reading import read
from lowdose.api.saving import SeriesInMemory
from lowdose.errors import OutputRefused
from lowdose.hounsfield import SOFT_TISSUE
from lowdose.image import HU, Slice
from lowdose.io.messages import counted
from lowdose.volume import Volume

PREVIEW, MANIFEST = "preview.png", "manifest.json"
WORD_FILES = WORDS, PICTURE, PAGE = "words.json", "words.png", "words.html"
"""Files that go with a denoised series."""


@dataclass(frozen=True)
class DenoisedSeries:
    """A denoised series, in memory or already written.

    Attributes
    ----------
    model : str
        Name of the model.
    slices : int
        Number of slices.
    warnings : tuple of str
        All that a user must know of this series and this model on it.
    path : Path or None
        Where it was written; None while it is in memory only.
    manifest : mapping
        What was done, with what, and how long it took; what ``--manifest`` writes.
    """

    model: str
    slices: int
    warnings: tuple[str, ...]
    path: Path | None
    manifest: Mapping[str, Any] = field(repr=False)
    _middle: tuple[Slice, HU] | None = field(default=None, repr=False)
    _series: SeriesInMemory | None = field(default=None, repr=False)
    _word_files: Mapping[str, bytes] = field(default_factory=dict, repr=False)

    @property
    def volume(self) -> Volume:
        """The denoised volume; read from ``path`` when the series was written there.

        Raises GeometryMismatch when the slices do not form one regular grid: save the result instead.
        """
        if self._series is not None:
            return self._series.volume()
        assert self.path is not None
        return read(self.path)

    def save(self, out: str | PathLike[str], *, preview: bool = False, manifest: bool = False) -> Path:
        """Write the series as ``lowdose denoise`` does, to the same bytes but for new UIDs and the time.

        Parameters
        ----------
        out : str or Path
            New folder for DICOM, else a new file of the kind that was read; of an array also any of .nii, .nii.gz,
            .npy, .npz, or a folder.
        preview, manifest : bool
            Also write a PNG of the middle slice before and after, and the manifest as JSON.

        Returns
        -------
        Path
            ``out``.

        Raises
        ------
        OutputRefused
            When the path is taken or cannot be written, and for a series that ``denoise`` wrote already.
        """
        if self._series is None:
            raise OutputRefused(f"{out}: this series was written to {self.path} while it was denoised; copy it there")
        return self._series.save(path_of(out, "out"), self.files(preview=preview, manifest=manifest))

    def files(self, *, preview: bool, manifest: bool) -> dict[str, bytes]:
        """Return the files that go with the series by name: preview, words and manifest, where they are wanted."""
        wanted: dict[str, bytes] = {}
        if preview and self._middle is not None:
            wanted[PREVIEW] = self._preview()
        wanted |= self._word_files
        if manifest:
            wanted[MANIFEST] = json.dumps(self.manifest, indent=2).encode()
        return wanted

    def to_dict(self) -> dict[str, Any]:
        """Return the manifest as plain Python."""
        return dict(self.manifest)

    def _preview(self) -> bytes:
        from lowdose.report import figures

        assert self._middle is not None
        before, after = self._middle
        return figures.preview(before.hu, after, SOFT_TISSUE, before.aspect, self.model)

    def _repr_html_(self) -> str:
        """Show the middle slice before and after, for notebooks."""
        where = f", written to {self.path.name}" if self.path else ""
        caption = f"{counted(self.slices, 'slice')} denoised by {self.model}{where}"
        if self._middle is None:
            return f"<p>{caption}</p>"
        return f"<figure>{picture(self._preview(), caption)}<figcaption>{caption}</figcaption></figure>"
