"""A denoiser on disk: one safetensors file that says what network, scale and training range it holds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

import torch

import lowdose.networks  # noqa: F401  (registers every network)
from lowdose.errors import IncompatibleCheckpoint
from lowdose.hounsfield import Scale
from lowdose.io.atomic_replace import replace_file
from lowdose.network_spec import NetworkSpec
from lowdose.networks.denoiser import Denoiser
from lowdose.weights import files, user_models
from lowdose.weights.files import WeightsFile

FORMAT = "lowdose-denoiser-1"
NOISE_FREE_IMAGE = "the noise-free image"
DEFAULT_MODEL = "fast"


@dataclass(frozen=True)
class TrainingDomain:
    """Ranges the weights were trained on, each (lowest, highest); None = unknown.

    noise_sd in HU, noise_f_av (mean frequency of the noise, 1-D radial weighting) in 1/mm, pixel and thickness in mm.
    """

    noise_sd: tuple[float, float] | None = None
    noise_f_av: tuple[float, float] | None = None
    pixel_mm: tuple[float, float] | None = None
    thickness_mm: tuple[float, float] | None = None

    @classmethod
    def of(cls, stated: Mapping[str, list[float] | None]) -> TrainingDomain:
        """From what a header holds. Raises ValueError or TypeError for what is no range, or not one of these."""
        return cls(**{key: _range(value) for key, value in stated.items()})


@dataclass(frozen=True)
class DenoiserCheckpoint:
    """A denoiser ready for use, with its name, checksum and range of validity."""

    name: str
    sha256: str
    denoiser: Denoiser
    domain: TrainingDomain
    training: Mapping[str, object] = field(default_factory=dict)


def save_denoiser(
    path: Path,
    denoiser: Denoiser,
    domain: TrainingDomain,
    training: Mapping[str, object],
    dtype: torch.dtype = torch.float32,
) -> str:
    """Write weights and description to ``path`` (replacing it in one move); returns the SHA-256."""
    header = {
        "format": FORMAT,
        "network": json.dumps({"name": denoiser.spec.name, "settings": dict(denoiser.spec.settings)}),
        "scale": json.dumps(denoiser.scale.to_dict()),
        "domain": json.dumps(asdict(domain)),
        "training": json.dumps(training),
        **({"context": str(denoiser.context)} if denoiser.context else {}),
        **({"estimates": NOISE_FREE_IMAGE} if denoiser.noise_free else {}),
    }
    data = files.serialise_weights(denoiser.network, header, dtype)
    replace_file(path, data)
    return hashlib.sha256(data).hexdigest()


def load_denoiser(model: str, device: torch.device | str = "cpu") -> DenoiserCheckpoint:
    """A shipped model by name, one that the user added by name, or a file by path, looked for in this order.

    Checksum (of shipped and added ones), format, shapes and finiteness are checked. Raises IncompatibleCheckpoint
    naming the file and the way out.
    """
    if model in files.shipped_weights("denoiser"):
        return _model(files.read_shipped(model), model, model, device)
    if user_models.is_valid_name(model) and model in user_models.user_model_hashes("denoiser"):
        return _model(files.read_added(model), str(user_models.weights_path(model)), model, device)
    path = Path(model)
    if not path.exists():
        shipped, own = (
            ", ".join(sorted(names("denoiser"))) or "none"
            for names in (files.shipped_weights, user_models.user_model_hashes)
        )
        raise IncompatibleCheckpoint(
            f"no model '{model}': neither a file nor one of the shipped models ({shipped}) or of your own ({own})"
        )
    return _model(files.read_weights(path), str(path), model_name(path), device)


def model_name(path: Path) -> str:
    """What a model is called that is given by its file."""
    # Every run folder holds a model.safetensors: there the folder is the telling name.
    return path.resolve().parent.name if path.stem == "model" else path.stem


def _model(found: WeightsFile, path: str, name: str, device: torch.device | str) -> DenoiserCheckpoint:
    denoiser, domain, training = _describe(path, found.header)
    files.load_weights(denoiser.network, found.tensors, path, f"the network '{denoiser.spec.name}'")
    return DenoiserCheckpoint(name, found.sha256, denoiser.to(device).eval(), domain, training)


def _describe(path: str, header: Mapping[str, str]) -> tuple[Denoiser, TrainingDomain, dict[str, object]]:
    """The denoiser without memory for its weights (device 'meta'), so that no header can ask for too much of it."""
    if header.get("format") != FORMAT:
        raise IncompatibleCheckpoint(
            f"{path}: its format is '{header.get('format', 'not stated')}', a denoiser has '{FORMAT}'; "
            "use a model.safetensors that 'lowdose train' wrote"
        )
    try:
        network = json.loads(header["network"])
        scale = Scale(**json.loads(header["scale"]))
        domain = TrainingDomain.of(json.loads(header["domain"]))
        with torch.device("meta"):
            spec, context = NetworkSpec(network["name"], network["settings"]), int(header.get("context", "0"))
            denoiser = Denoiser(spec, scale, context, header.get("estimates") == NOISE_FREE_IMAGE)
        return denoiser, domain, dict(json.loads(header["training"]))
    except Exception as error:  # a damaged description can be wrong in any way
        reason = str(error) or type(error).__name__
        raise IncompatibleCheckpoint(f"{path}: its description is damaged ({reason}); copy it again") from error


def _range(value: list[float] | None) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = (float(number) for number in value)
    return low, high
