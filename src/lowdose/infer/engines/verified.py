"""Which engines are accurate for a network: each is held to float64 before it is used, and what came out is kept."""

from __future__ import annotations

from functools import cached_property
from threading import RLock

import numpy as np
from numpy.typing import NDArray

from lowdose.infer.engines import accuracy_check, engine_cache
from lowdose.infer.engines.accelerated import EngineDenoiser
from lowdose.infer.engines.accuracy_check import Difference
from lowdose.infer.engines.base import Engine
from lowdose.infer.engines.graph_file import source_fingerprint
from lowdose.networks.denoiser import Denoiser
from lowdose.version import __version__


class Verifier:
    """Accuracy of the engines for one denoiser.

    Attributes
    ----------
    denoiser : Denoiser
        The denoiser as PyTorch runs it.
    keep : bool
        Whether the results are read from the cache and kept there.
    """

    def __init__(self, denoiser: Denoiser, keep: bool = True) -> None:
        self.denoiser, self.keep = denoiser, keep
        self._lock = RLock()
        self._faults: dict[tuple[str, str], str] = {}

    def known(self, engine: Engine, accuracy: str) -> bool:
        """Return whether ``fault`` answers without denoising anything."""
        if (engine.name, accuracy) not in self._faults and self.keep:
            entry = engine_cache.read_entry(self._key(engine, accuracy))
            if entry is not None:
                self._faults[engine.name, accuracy] = str(entry.get("fault"))
        return (engine.name, accuracy) in self._faults

    def fault(self, engine: Engine, accuracy: str) -> str:
        """Return why an engine cannot be used at this accuracy; '' if it can. Takes seconds the first time."""
        with self._lock:
            if not self.known(engine, accuracy):
                self._faults[engine.name, accuracy] = found = self._check(engine, accuracy)
                if self.keep:
                    engine_cache.write_entry(self._key(engine, accuracy), {"engine": engine.name, "fault": found})
            return self._faults[engine.name, accuracy]

    def _key(self, engine: Engine, accuracy: str) -> str:
        return engine_cache.entry_key(
            what="accuracy", engine=engine.name, accuracy=accuracy, version=engine.version, **self.identity
        )

    @cached_property
    def identity(self) -> dict[str, str]:
        """What is measured of the denoiser depends on: its weights, its settings and its code."""
        return {
            "weights": engine_cache.weights_fingerprint(self.denoiser.network),
            "spec": self.denoiser.identity,
            "scale": repr(self.denoiser.scale),
            "code": source_fingerprint(self.denoiser.network),
            "lowdose": __version__,
        }

    def _check(self, engine: Engine, accuracy: str) -> str:
        device = next(self.denoiser.network.parameters()).device
        slices = accuracy_check.checked_slice(2 * self.denoiser.context + 1).to(device)
        try:
            result = EngineDenoiser(self.denoiser, engine, accuracy, keep=self.keep).denoise(slices).cpu().numpy()
        except Exception as error:  # an engine may raise anything, and there are others to choose from
            return f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        return Difference.between(self._reference, result).fault(accuracy)

    @cached_property
    def _reference(self) -> NDArray[np.float64]:
        return accuracy_check.in_float64(self.denoiser, accuracy_check.checked_slice(2 * self.denoiser.context + 1))
