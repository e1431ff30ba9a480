"""What a run over an archive does to every series, and how it goes about it; no PyTorch is imported here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from lowdose.version import __version__
from lowdose.weights.identity import DEFAULT_MODEL, identify_denoiser

if TYPE_CHECKING:
    from lowdose.io.source import Rescale
    from lowdose.models.load import LoadedModel

OPTIONAL = ("dose", "noise_sd", "texture", "rescale", "pixel", "thickness", "strict")
"""Settings that are stated with the results where they are given."""
LOCAL = "local"
"""Value of ``ArchiveOptions.cluster`` for Ray on this machine only."""


@dataclass(frozen=True)
class ArchiveSettings:
    """What is done to every series.

    Attributes
    ----------
    model : str or None
        Name or file of the model; None = the shipped default.
    strength : float
        Blend of the result with the input, 0 to 1.
    dose, noise_sd : float or None
        Dose as a fraction of the usual one; SD in HU of the noise that shall remain. See `lowdose.denoise`.
    texture : str or None
        Texture of the noise that shall remain.
    device, engine, accuracy : str
        See `lowdose.load_model`.
    rescale : tuple of 2 floats or None
        Slope and intercept of the images that state none.
    pixel, thickness : float or None
        Pixel size and slice thickness in mm of the series that state none.
    strict : bool
        Whether series outside the range of the model are refused.
    threads : int
        Threads of one worker; 0 = its share of the processor.
    """

    model: str | None = None
    strength: float = 1.0
    dose: float | None = None
    noise_sd: float | None = None
    texture: str | None = None
    device: str = "auto"
    engine: str = "auto"
    accuracy: str = "exact"
    rescale: Rescale | None = None
    pixel: float | None = None
    thickness: float | None = None
    strict: bool = False
    threads: int = 0

    def load(self) -> LoadedModel:
        """Load the model on its engine. Raises what `lowdose.load_model` raises."""
        from lowdose.api import load_model
        from lowdose.api.checks import check_rescale
        from lowdose.api.reading import stated_sizes
        from lowdose.infer.pipeline import check_strength
        from lowdose.models.noise_retention import NoiseTarget, check_target

        check_strength(self.strength)
        check_rescale(self.rescale)
        stated_sizes(self.pixel, self.thickness)
        target = NoiseTarget(self.dose, self.noise_sd, self.texture)
        name = DEFAULT_MODEL if self.model is None else self.model
        model = load_model(name, device=self.device, engine=self.engine, accuracy=self.accuracy)
        check_target(target, model)
        return model

    def identity(self) -> dict[str, object]:
        """Return what all results of one folder share. Raises what ``load`` raises for a model that is none."""
        known = identify_denoiser(DEFAULT_MODEL if self.model is None else self.model)
        if known is None:
            model = self.load()
            known = model.name, model.sha256
        return {
            "lowdose": __version__,
            "model": known[0],
            "sha256": known[1],
            "strength": self.strength,
            "accuracy": self.accuracy,
            **{name: given for name in OPTIONAL if (given := getattr(self, name)) is not None and given is not False},
        }


@dataclass(frozen=True)
class ArchiveOptions:
    """How a run goes about an archive; nothing here changes an image.

    Attributes
    ----------
    cluster : str
        'local', or the address of a Ray cluster that sees archive and results under the same names.
    jobs : int
        Number of workers; 0 = as many as fit.
    retry : bool
        Whether series in quarantine are tried once more.
    hashed_names : bool
        Whether result folders are named by a hash of the series instead of the archive's own folders.
    quarantine_folders : bool
        Whether quarantine.csv names the folders of the archive, which may hold names of patients.
    """

    cluster: str = LOCAL
    jobs: int = 0
    retry: bool = False
    hashed_names: bool = False
    quarantine_folders: bool = False
