"""A denoiser whose network an engine runs."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from torch import Tensor

from lowdose.hounsfield import Scale
from lowdose.infer.engines import accuracy_check, engine_cache
from lowdose.infer.engines.base import CompiledNetwork, CompileRequest, Engine
from lowdose.infer.engines.graph import Shape
from lowdose.networks.denoiser import Denoiser

COMPILE_LOCK = Lock()
"""Exporters keep what they are at in the process, not in the thread."""

MAX_COMPILED_SHAPES = 3
"""Compiled at a time. A series with more sizes than that is a mixture of scans; each is compiled when it is met."""


class EngineDenoiser:
    """The same face as ``Denoiser``: HU to HU, for images of any size; what is not compiled yet is when it is met.

    exact: what serves instead where this one turns out not to be right; None = nothing that was found to be.
    """

    def __init__(self, denoiser: Denoiser, engine: Engine, precision: str, exact: EngineDenoiser | None = None) -> None:
        self.plain, self.engine, self.precision, self.exact = denoiser, engine, precision, exact
        self._runs: OrderedDict[Shape, CompiledNetwork] = OrderedDict()

    @property
    def scale(self) -> Scale:
        return self.plain.scale

    @property
    def context(self) -> int:
        return self.plain.context

    @property
    def noise_free(self) -> bool:
        return self.plain.noise_free

    def copy_for_thread(self) -> EngineDenoiser:
        """Another one of the same weights, for another thread: what is compiled serves one at a time."""
        return EngineDenoiser(self.plain, self.engine, self.precision, self.exact)

    def denoise(self, hu: Tensor) -> Tensor:
        """(B, 2c+1, H, W) HU -> (B, 1, H, W); see ``Denoiser.denoise``."""
        return self.plain.denoise(hu, self._run)

    def _run(self, units: Tensor) -> Tensor:
        shape = (units.shape[0], units.shape[1], units.shape[2], units.shape[3])
        if shape not in self._runs:
            with COMPILE_LOCK:
                self._runs[shape] = self.engine.compile(self._work(shape))
            while len(self._runs) > MAX_COMPILED_SHAPES:
                self._runs.popitem(last=False)
        self._runs.move_to_end(shape)
        return self._runs[shape](units)

    def _work(self, shape: Shape) -> CompileRequest:
        key = engine_cache.network_fingerprint(
            self.plain.network,
            engine=self.engine.name,
            version=self.engine.version,
            precision=self.precision,
            shape=shape,
            spec=repr(self.plain.spec),
        )
        sample = self.plain.scale.encode(accuracy_check.reference_slice(2 * self.context + 1))
        return CompileRequest(self.plain.network, shape, self.precision, sample, engine_cache.entry_folder(key))
