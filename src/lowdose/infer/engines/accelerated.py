"""A denoiser whose network runs on an engine."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

import torch
from torch import Tensor

from lowdose.hounsfield import Scale
from lowdose.infer.engines import accuracy_check, engine_cache
from lowdose.infer.engines.base import CompiledNetwork, CompileRequest, Engine
from lowdose.infer.engines.graph import Shape
from lowdose.infer.engines.graph_file import source_fingerprint
from lowdose.networks.denoiser import Denoiser
from lowdose.version import __version__

COMPILE_LOCK = Lock()
"""Held while a network is compiled: exporters keep global state, shared by all threads of the process."""

MAX_COMPILED_SHAPES = 3
"""Number of image shapes kept compiled at a time.

A series with more shapes than that is a mixture of scans; the shape used longest ago is then dropped and compiled again
when it is next needed.
"""


class EngineDenoiser:
    """Denoiser with the interface of ``Denoiser`` (HU to HU, any image size) whose network runs on an engine.

    The network is compiled for each image shape when that shape first occurs.

    Attributes
    ----------
    plain : Denoiser
        The denoiser as PyTorch runs it.
    engine : Engine
        Engine that runs the network, or ran it last.
    accuracy : str
        ``"exact"`` or ``"fast"``.
    exact : EngineDenoiser or None
        Exact denoiser that replaces this one if it turns out to be inaccurate on a series; None if this one is exact
        or no exact engine passed the accuracy check.
    keep : bool
        Whether what is compiled is kept on disk for the next process; not for weights that are about to change.
    """

    def __init__(
        self,
        denoiser: Denoiser,
        engine: Engine,
        accuracy: str,
        exact: EngineDenoiser | None = None,
        keep: bool = True,
    ) -> None:
        self.plain, self.engine, self.accuracy, self.exact, self.keep = denoiser, engine, accuracy, exact, keep
        self._runs: OrderedDict[Shape, CompiledNetwork] = OrderedDict()

    @property
    def name(self) -> str:
        """Engine and accuracy in two words."""
        return f"{self.engine.name} {self.accuracy}"

    @property
    def scale(self) -> Scale:
        """Map from HU to network units."""
        return self.plain.scale

    @property
    def context(self) -> int:
        """Number of neighbouring slices on either side that the network sees."""
        return self.plain.context

    @property
    def noise_free(self) -> bool:
        """Whether the network estimates the noise-free image; see ``models.noise_retention``."""
        return self.plain.noise_free

    def copy_for_thread(self) -> EngineDenoiser:
        """Return a denoiser with the same weights for another thread: a compiled network serves one at a time."""
        return EngineDenoiser(self.plain, self.engine, self.accuracy, self.exact, self.keep)

    def denoise(self, hu: Tensor) -> Tensor:
        """Denoise (B, 2c+1, H, W) HU to (B, 1, H, W) HU; see ``Denoiser.denoise``."""
        return self.plain.denoise(hu, self._run)

    def _run(self, units: Tensor) -> Tensor:
        shape = (units.shape[0], units.shape[1], units.shape[2], units.shape[3])
        if shape not in self._runs:
            with COMPILE_LOCK:
                self._runs[shape] = self.engine.compile(self._compile_request(shape))
            while len(self._runs) > MAX_COMPILED_SHAPES:
                self._runs.popitem(last=False)
        self._runs.move_to_end(shape)
        return self._runs[shape](units)

    def _compile_request(self, shape: Shape) -> CompileRequest:
        code, folder = source_fingerprint(self.plain.network), None
        made_of = {"spec": self.plain.identity, "code": code, "shape": shape, "lowdose": __version__}
        graphs = engine_cache.entry_folder(engine_cache.entry_key(torch=torch.__version__, **made_of))
        if self.keep and self.engine.keeps_files:
            weights = engine_cache.weights_fingerprint(self.plain.network)
            version = f"{self.name} {self.engine.version}"
            folder = engine_cache.entry_folder(engine_cache.entry_key(weights=weights, version=version, **made_of))
        sample = self.plain.scale.encode(accuracy_check.reference_slice(2 * self.context + 1))
        graph_file = graphs and graphs / "graph.json"
        return CompileRequest(self.plain.network, shape, self.accuracy, sample, folder, graph_file)
