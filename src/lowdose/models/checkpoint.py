"""Checkpoint of a denoiser: one safetensors file whose header names its network, HU scale and training domain."""

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
from lowdose.network_spec import NetworkSpec, UnknownNetwork
from lowdose.networks.denoiser import Denoiser
from lowdose.weights import files, user_models
from lowdose.weights.files import WeightsFile
from lowdose.weights.identity import model_name, shipped_weights

FORMAT = "lowdose-denoiser-1"
"""Value of "format" in the header."""

NOISE_FREE_IMAGE = "the noise-free image"
"""Value of "estimates" in the header of a denoiser that estimates the image without any noise."""

LOCAL_MEANS = "local_means_px"
"""Entry of the header with the width of the local means that are kept, where it is not the usual one."""


@dataclass(frozen=True)
class TrainingDomain:
    """Ranges of image properties in the training data, each (lowest, highest) or None if unknown.

    Attributes
    ----------
    noise_sd : tuple of float or None, HU
        Standard deviation of the noise.
    noise_f_av : tuple of float or None, 1/mm
        Mean frequency of the noise power spectrum, 1-D radial weighting.
    pixel_mm : tuple of float or None, mm
        Pixel size.
    thickness_mm : tuple of float or None, mm
        Slice thickness.
    """

    noise_sd: tuple[float, float] | None = None
    noise_f_av: tuple[float, float] | None = None
    pixel_mm: tuple[float, float] | None = None
    thickness_mm: tuple[float, float] | None = None

    @classmethod
    def of(cls, stated: Mapping[str, list[float] | None]) -> TrainingDomain:
        """Build from the ranges of a header. Raises ValueError or TypeError for an unknown name or an invalid range."""
        return cls(**{key: _range(value) for key, value in stated.items()})


@dataclass(frozen=True)
class DenoiserCheckpoint:
    """A denoiser ready for use.

    Attributes
    ----------
    name : str
        Name of the model.
    sha256 : str
        Checksum of its file, hexadecimal.
    denoiser : Denoiser
        The network with its weights, in eval mode.
    domain : TrainingDomain
        Ranges of the training data.
    training : mapping of str to object
        Description of the training, as the recipe wrote it.
    """

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
    """Write weights and description to ``path``, replacing a file there atomically, and return the SHA-256."""
    header = {
        "format": FORMAT,
        "network": json.dumps({"name": denoiser.spec.name, "settings": dict(denoiser.spec.settings)}),
        "scale": json.dumps(denoiser.scale.to_dict()),
        "domain": json.dumps(asdict(domain)),
        "training": json.dumps(training),
        **({"context": str(denoiser.context)} if denoiser.context else {}),
        **({"estimates": NOISE_FREE_IMAGE} if denoiser.noise_free else {}),
        **({} if denoiser.stated_means_px is None else {LOCAL_MEANS: repr(float(denoiser.stated_means_px))}),
    }
    data = files.serialise_weights(denoiser.network, header, dtype)
    replace_file(path, data)
    return hashlib.sha256(data).hexdigest()


def load_denoiser(model: str, device: torch.device | str = "cpu") -> DenoiserCheckpoint:
    """Load a denoiser: a shipped model by name, an added model by name, or a file by path, looked for in this order.

    Checksum (of shipped and added models), format, shapes and finiteness are checked. Raises IncompatibleCheckpoint
    with a message that names the file and a remedy.
    """
    if model in shipped_weights("denoiser"):
        return _build(files.read_shipped(model), model, model, device)
    if user_models.is_valid_name(model) and model in user_models.user_model_hashes("denoiser"):
        return _build(files.read_added(model), str(user_models.weights_path(model)), model, device)
    path = Path(model)
    if not path.exists():
        shipped, added = (
            ", ".join(sorted(names("denoiser"))) or "none" for names in (shipped_weights, user_models.user_model_hashes)
        )
        raise IncompatibleCheckpoint(
            f"no model '{model}': neither a file nor one of the shipped models ({shipped}) or of your own ({added})"
        )
    return _build(files.read_weights(path), str(path), model_name(path), device)


def _build(file: WeightsFile, path: str, name: str, device: torch.device | str) -> DenoiserCheckpoint:
    """Build the denoiser that a file describes and load its weights."""
    denoiser, domain, training = _parse_header(path, file.header)
    files.load_weights(denoiser.network, file.tensors, path, f"the network '{denoiser.spec.name}'")
    return DenoiserCheckpoint(name, file.sha256, denoiser.to(device).eval(), domain, training)


def _parse_header(path: str, header: Mapping[str, str]) -> tuple[Denoiser, TrainingDomain, dict[str, object]]:
    """Parse the header into a denoiser without weights, its training domain and the description of its training.

    The denoiser is built on the device 'meta', which allocates no memory, so that a damaged header cannot exhaust it.
    """
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
            stated = header.get(LOCAL_MEANS)
            noise_free = header.get("estimates") == NOISE_FREE_IMAGE
            denoiser = Denoiser(spec, scale, context, noise_free, None if stated is None else float(stated))
        return denoiser, domain, dict(json.loads(header["training"]))
    except UnknownNetwork as error:
        raise IncompatibleCheckpoint(f"{path}: {error}") from error
    except Exception as error:  # a damaged header can raise anything
        reason = str(error) or type(error).__name__
        raise IncompatibleCheckpoint(f"{path}: its description is damaged ({reason}); copy it again") from error


def _range(value: list[float] | None) -> tuple[float, float] | None:
    """Convert a range to floats. Raises ValueError or TypeError if it is not a pair of numbers."""
    if value is None:
        return None
    low, high = (float(number) for number in value)
    return low, high
