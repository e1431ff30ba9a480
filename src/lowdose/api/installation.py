"""What is installed, and what is missing at which cost."""

from __future__ import annotations

import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

import torch

from lowdose.infer.engines.select_engine import CPU, GPU
from lowdose.version import __version__

EXTRAS: Mapping[str, tuple[str, str]] = {
    "engines": ("openvino", "two more engines for CPUs"),
    "ray": ("ray", "denoise --ray: archives on several workers or a cluster"),
    "formats": ("SimpleITK", "NRRD and MetaImage files"),
    "organs": ("monai", "evaluate --task organs: surface distances (HD95)"),
    "reports": ("highdicom", "detect: lesions as a DICOM structured report"),
    "download": ("idc-index", "data download: public collections"),
    "features": ("transformers", "train leda_autoencoder with the embeddings of a language model"),
}
"""For each optional extra, a package that it installs, and what it is for."""


@dataclass(frozen=True)
class Installation:
    """What is installed.

    Attributes
    ----------
    versions : dict of str
        Versions of lowdose, Python and PyTorch.
    processor : str
        Processor, cores, vector instructions.
    gpu : str
        Name of the GPU; '' without one.
    engines : dict of str
        What makes networks fast, by name: its version, or why it is missing.
    extras : dict of str
        Optional parts by name: the version of their package, or how they are installed.
    """

    versions: dict[str, str]
    processor: str
    gpu: str
    engines: dict[str, str]
    extras: dict[str, str]

    @property
    def lines(self) -> list[str]:
        """The same as text."""
        lines = [", ".join(f"{name} {number}" for name, number in self.versions.items())]
        lines += [f"processor: {self.processor}", f"GPU: {self.gpu or 'none that PyTorch can use'}"]
        for title, entries in (("engines", self.engines), ("extras", self.extras)):
            lines += [f"{title}:", *(f"  {name:<12} {text}" for name, text in entries.items())]
        return lines


def info() -> Installation:
    """Return what is installed: versions, processor, GPU, engines and optional parts.

    Returns
    -------
    Installation
        Its ``lines`` are what ``lowdose info`` prints.

    Examples
    --------
    >>> import lowdose
    >>> found = lowdose.info()
    >>> found.versions["lowdose"] == lowdose.__version__
    True
    >>> list(found.engines)[0]
    'winograd'
    """
    versions = {"lowdose": __version__, "Python": platform.python_version(), "PyTorch": torch.__version__}
    cores, vectors = len(os.sched_getaffinity(0)), torch.backends.cpu.get_cpu_capability()
    engines = {}
    for engine in (*CPU.values(), *(GPU.values() if torch.cuda.is_available() else ())):
        reason = engine.unavailable_reason()
        engines[engine.name] = f"missing: {reason}" if reason else f"ready ({engine.version})"
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else ""
    extras = {name: _extra(name, *EXTRAS[name]) for name in EXTRAS}
    return Installation(versions, f"{platform.machine()}, {cores} cores, {vectors}", gpu, engines, extras)


def _extra(name: str, package: str, purpose: str) -> str:
    try:
        return f"ready ({package} {version(package)}): {purpose}"
    except PackageNotFoundError:
        return f"missing: {purpose}; pip install 'lowdose[{name}]'"
