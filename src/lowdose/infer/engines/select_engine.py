"""Choice of the engine for a model: a named one, or the fastest accurate one as measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from lowdose.errors import InvalidSetting
from lowdose.infer.engines import accuracy_check, engine_cache
from lowdose.infer.engines.accelerated import EngineDenoiser
from lowdose.infer.engines.accuracy_check import Difference
from lowdose.infer.engines.base import ACCURACIES, EXACT, Engine
from lowdose.infer.engines.cuda import Cuda
from lowdose.infer.engines.eager import Eager
from lowdose.infer.engines.onnx import OnnxRuntime
from lowdose.infer.engines.openvino import OpenVino
from lowdose.infer.engines.winograd.engine import Winograd
from lowdose.models.load import LoadedModel
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.sampling import is_sampler
from lowdose.version import __version__

AUTO = "auto"
CPU: Mapping[str, Engine] = {each.name: each for each in (Winograd(), OpenVino(), OnnxRuntime(), Eager())}
GPU: Mapping[str, Engine] = {each.name: each for each in (Cuda(),)}
ROUNDS = 3
"""Number of timed runs of each engine, of which the fastest counts."""

Say = Callable[[str], None]
"""Function that gets messages for the user."""


@dataclass(frozen=True)
class EngineTiming:
    """Result of one engine at one accuracy on the reference slice.

    Attributes
    ----------
    engine : str
        Name of the engine.
    accuracy : str
        ``"exact"`` or ``"fast"``.
    seconds : float
        Shortest time to denoise the slice, s; infinite if the engine failed.
    fault : str
        Why the engine cannot be used; '' if it can.
    """

    engine: str
    accuracy: str
    seconds: float
    fault: str


def run_on_engine(model: LoadedModel, engine: str = AUTO, accuracy: str = EXACT, say: Say = print) -> LoadedModel:
    """Return ``model`` with its network on an engine; a classical filter is returned unchanged.

    With ``"auto"`` the fastest engine is chosen among those that are available and pass the accuracy check; for fast
    accuracy this includes the exact engines. ``say`` gets a message when the choice differs from the request, and
    before a wait. Raises InvalidSetting for an unknown name, an engine that is not available, and an engine named for a
    classical filter.
    """
    candidates = _candidates(model, engine, accuracy)
    if not isinstance(model.denoiser, Denoiser):
        return model
    if is_sampler(model.denoiser.network):
        if engine != Eager.name:
            say(f"{model.name} draws random numbers, which no engine exports: plain PyTorch runs it")
        return model
    timings = _timings(model.denoiser, candidates, accuracy, say)
    usable = [timing for timing in timings if not timing.fault]
    if engine != AUTO:
        for timing in timings:
            if timing.fault:
                say(f"warning: {timing.engine}, {timing.accuracy}: {timing.fault}; not used")
    eligible = [timing for timing in usable if timing.accuracy == accuracy and engine != AUTO] or usable
    if not eligible:
        say("warning: no engine passed; plain PyTorch is used")
        return model
    best = min(eligible, key=lambda timing: timing.seconds)
    exact = [timing for timing in usable if timing.accuracy == EXACT]
    best_exact = min(exact, key=lambda timing: timing.seconds) if exact and best.accuracy != EXACT else None
    fallback = EngineDenoiser(model.denoiser, candidates[best_exact.engine], EXACT) if best_exact else None
    denoiser = EngineDenoiser(model.denoiser, candidates[best.engine], best.accuracy, fallback)
    return replace(model, denoiser=denoiser, engine=best.engine, accuracy=best.accuracy)


def _candidates(model: LoadedModel, engine: str, accuracy: str) -> Mapping[str, Engine]:
    """Return the engines to choose from, by name."""
    if accuracy not in ACCURACIES:
        raise InvalidSetting(f"--accuracy {accuracy}: must be one of {', '.join(ACCURACIES)}")
    known = GPU if model.device.type == "cuda" else CPU
    if engine == AUTO:
        available = {name: each for name, each in known.items() if not each.unavailable_reason()}
        if len(available) > 2:  # ONNX Runtime is slow to set up, and slower than any other engine where those run
            available.pop(OnnxRuntime.name, None)
        return available
    if engine not in known:
        on = f" on {model.device}" if engine in {**CPU, **GPU} else ""
        raise InvalidSetting(f"--engine {engine}: not one of {', '.join([AUTO, *known])}{on}")
    if not isinstance(model.denoiser, Denoiser):
        raise InvalidSetting(f"--engine {engine}: {model.name} is no network; leave --engine out")
    if reason := known[engine].unavailable_reason():
        raise InvalidSetting(f"--engine {engine}: {reason}")
    return {engine: known[engine]}


def _timings(denoiser: Denoiser, engines: Mapping[str, Engine], accuracy: str, say: Say) -> Sequence[EngineTiming]:
    """Return the timings of all engines at this accuracy and at the exact one, from the cache if they are there."""
    runs = [(each, level) for each in engines.values() for level in dict.fromkeys((accuracy, EXACT))]
    runs = [(each, level) for each, level in runs if each.supports(level)]
    versions = {f"{each.name} {level}": each.version for each, level in runs}
    key = engine_cache.network_fingerprint(
        denoiser.network, lowdose=__version__, spec=denoiser.identity, scale=repr(denoiser.scale), **versions
    )
    cached = engine_cache.read_entry(key)
    if cached is not None:
        return [EngineTiming(**fields) for fields in cached["engines"]]
    say("measuring engines on this machine, once for this model")
    on_cpu = next(denoiser.network.parameters()).device.type == "cpu"
    if on_cpu and len(engines) > 1 and (missing := Winograd().unavailable_reason()):
        say(f"{Winograd.name}, the fastest engine, is missing: {missing}")
    slices = accuracy_check.reference_slice(2 * denoiser.context + 1)
    reference = _in_float64(denoiser, slices)
    timings = [_measure(denoiser, each, level, slices, reference) for each, level in runs]
    engine_cache.write_entry(key, {"engines": [vars(timing) for timing in timings]})
    return timings


def _in_float64(denoiser: Denoiser, slices: torch.Tensor) -> NDArray[np.float64]:
    """Denoise with PyTorch in float64 on the CPU: the reference for the accuracy of the engines."""
    precise = deepcopy(denoiser).to("cpu", torch.float64)
    return np.asarray(precise.denoise(slices.double()).numpy())


def _measure(
    denoiser: Denoiser, engine: Engine, accuracy: str, slices: torch.Tensor, reference: NDArray[np.float64]
) -> EngineTiming:
    """Compare one engine with ``reference``, HU, and time it; the first run, which compiles, is not timed."""
    device = next(denoiser.network.parameters()).device
    model, hu, spent = EngineDenoiser(denoiser, engine, accuracy), slices.to(device), []
    try:
        difference = Difference.between(reference, model.denoise(hu).cpu().numpy())
        for _ in range(ROUNDS):
            start = time.perf_counter()
            model.denoise(hu).cpu()
            spent.append(time.perf_counter() - start)
    except Exception as error:  # an engine may raise anything, and there are others to choose from
        text = " ".join(str(error).split())[:200]
        return EngineTiming(engine.name, accuracy, float("inf"), f"{type(error).__name__}: {text}")
    return EngineTiming(engine.name, accuracy, min(spent), difference.fault(accuracy))
