"""Weights on disk: one safetensors file that says what network, scale and training range it holds.

Only safetensors is ever read: a pickle can run code.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from importlib import resources
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save as safetensors_bytes

import lowdose.networks  # noqa: F401  (registers every network)
from lowdose.errors import IncompatibleCheckpoint
from lowdose.hounsfield import Scale
from lowdose.io.replace import replace_file
from lowdose.networks.denoiser import Denoiser
from lowdose.spec import Spec

FORMAT = "lowdose-denoiser-1"
DEFAULT_MODEL = "unet"


@dataclass(frozen=True)
class Domain:
    """Ranges the weights were trained on, each (lowest, highest); None = unknown.

    noise_sd in HU, noise_f_av (mean frequency of the noise, 1-D radial weighting) in 1/mm, pixel and thickness in mm.
    """

    noise_sd: tuple[float, float] | None = None
    noise_f_av: tuple[float, float] | None = None
    pixel_mm: tuple[float, float] | None = None
    thickness_mm: tuple[float, float] | None = None


@dataclass(frozen=True)
class Model:
    """A denoiser ready for use, with its name, checksum and range of validity."""

    name: str
    sha256: str
    denoiser: Denoiser
    domain: Domain
    training: Mapping[str, object] = field(default_factory=dict)


def save(
    path: Path,
    denoiser: Denoiser,
    domain: Domain,
    training: Mapping[str, object],
    dtype: torch.dtype = torch.float32,
) -> str:
    """Write weights and description to ``path`` (replacing it in one move); returns the SHA-256.

    float16 halves the file; loaded weights are float32 again either way.
    """
    header = {
        "format": FORMAT,
        "network": json.dumps({"name": denoiser.spec.name, "settings": dict(denoiser.spec.settings)}),
        "scale": json.dumps(denoiser.scale.to_dict()),
        "domain": json.dumps(asdict(domain)),
        "training": json.dumps(training),
    }
    state = denoiser.network.state_dict().items()
    weights = {name: value.detach().to("cpu", dtype).contiguous() for name, value in state}
    data = safetensors_bytes(weights, header)
    replace_file(path, data)
    return hashlib.sha256(data).hexdigest()


def shipped() -> dict[str, str]:
    """Names of the models inside the package, each with the SHA-256 its weights must have."""
    index = resources.files("lowdose.zoo").joinpath("index.json")
    return dict(json.loads(index.read_text())) if index.is_file() else {}


def load(model: str, device: torch.device | str = "cpu") -> Model:
    """A shipped model by name, or a file by path; checksum (shipped), format, shapes and finiteness are checked.

    Raises IncompatibleCheckpoint naming the file and the way out.
    """
    known = shipped()
    if model in known:
        with resources.as_file(resources.files("lowdose.zoo").joinpath(f"{model}.safetensors")) as path:
            return _read(path, model, known[model], device)
    path = Path(model)
    if not path.exists():
        raise IncompatibleCheckpoint(
            f"no model '{model}': neither a file nor one of the shipped models ({', '.join(sorted(known)) or 'none'})"
        )
    # Every run folder holds a model.safetensors: there the folder is the telling name.
    name = path.resolve().parent.name if path.stem == "model" else path.stem
    return _read(path, name, None, device)


def _read(path: Path, name: str, expected: str | None, device: torch.device | str) -> Model:
    if path.suffix != ".safetensors" or not path.is_file():
        raise IncompatibleCheckpoint(
            f"{path}: only .safetensors files are loaded, since a pickled checkpoint can run code; "
            "'lowdose train' writes model.safetensors into its run folder"
        )
    try:
        sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError as error:
        raise IncompatibleCheckpoint(f"{path}: cannot be read ({error.strerror})") from error
    if expected is not None and sha256 != expected:
        raise IncompatibleCheckpoint(
            f"{path}: SHA-256 is {sha256[:16]}..., not {expected[:16]}...: the shipped weights are damaged, reinstall"
        )
    try:
        with safe_open(path, framework="pt") as file:
            header = dict(file.metadata() or {})
            weights = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 (not a dict)
    except SafetensorError as error:
        raise IncompatibleCheckpoint(f"{path}: not a readable safetensors file ({error}); copy it again") from error
    denoiser, domain, training = _describe(path, header)
    _fill(path, denoiser, weights)
    return Model(name, sha256, denoiser.to(device).eval(), domain, training)


def _describe(path: Path, header: Mapping[str, str]) -> tuple[Denoiser, Domain, dict[str, object]]:
    """The denoiser without memory for its weights (device 'meta'), so that no header can ask for too much of it."""
    if header.get("format") != FORMAT:
        raise IncompatibleCheckpoint(
            f"{path}: its format is '{header.get('format', 'not stated')}', a denoiser has '{FORMAT}'; "
            "use a model.safetensors that 'lowdose train' wrote"
        )
    try:
        network = json.loads(header["network"])
        scale = Scale(**json.loads(header["scale"]))
        ranges = {key: _range(value) for key, value in json.loads(header["domain"]).items()}
        with torch.device("meta"):
            denoiser = Denoiser(Spec(network["name"], network["settings"]), scale)
        return denoiser, Domain(**ranges), dict(json.loads(header["training"]))
    except Exception as error:  # a damaged description can be wrong in any way
        reason = str(error) or type(error).__name__
        raise IncompatibleCheckpoint(f"{path}: its description is damaged ({reason}); copy it again") from error


def _range(value: list[float] | None) -> tuple[float, float] | None:
    if value is None:
        return None
    low, high = (float(number) for number in value)
    return low, high


def _fill(path: Path, denoiser: Denoiser, weights: Mapping[str, torch.Tensor]) -> None:
    wanted = {name: value.shape for name, value in denoiser.network.state_dict().items()}
    if wanted != {name: value.shape for name, value in weights.items()}:
        raise IncompatibleCheckpoint(
            f"{path}: the weights do not fit the network '{denoiser.spec.name}' the file names"
        )
    broken = [name for name, value in weights.items() if not bool(value.float().isfinite().all())]
    if broken:
        raise IncompatibleCheckpoint(f"{path}: weights '{broken[0]}' hold NaN or infinity: that training failed")
    denoiser.network.load_state_dict({name: value.float() for name, value in weights.items()}, assign=True)
