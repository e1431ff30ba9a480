"""Choice of the engine for a model: a named one, or one after another in the order of preference, as they pass."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from lowdose.errors import InvalidSetting
from lowdose.infer.engines.accelerated import EngineDenoiser
from lowdose.infer.engines.auto_denoiser import AutoDenoiser, Candidate, Say
from lowdose.infer.engines.base import ACCURACIES, EXACT, Engine
from lowdose.infer.engines.cuda import Cuda
from lowdose.infer.engines.eager import Eager
from lowdose.infer.engines.onnx import OnnxRuntime
from lowdose.infer.engines.openvino import OpenVino
from lowdose.infer.engines.verified import Verifier
from lowdose.infer.engines.winograd.engine import Winograd
from lowdose.models.load import LoadedModel
from lowdose.networks.denoiser import Denoiser
from lowdose.networks.sampling import is_sampler

AUTO, MEASURE = "auto", "measure"
"""Names of no engine but of a choice: the fastest one, by what is known of it or measured anew."""

CPU: Mapping[str, Engine] = {each.name: each for each in (Winograd(), OpenVino(), OnnxRuntime(), Eager())}
GPU: Mapping[str, Engine] = {each.name: each for each in (Cuda(),)}
"""Engines by name, in the order of preference."""


def run_on_engine(
    model: LoadedModel, engine: str = AUTO, accuracy: str = EXACT, say: Say = print, keep: bool = True
) -> LoadedModel:
    """Return ``model`` with its network on an engine; a classical filter is returned unchanged.

    With ``"auto"`` the first engine in the order of preference runs that is available and passes the accuracy check;
    for fast accuracy this includes the exact engines. In a long series the engines are compared, and the fastest takes
    over (``auto_denoiser``); with ``"measure"`` that happens on the first slice, whatever is known from earlier runs.
    ``say`` gets a message when the choice differs from the request, and before a wait. ``keep``: whether what is found
    and compiled is kept for the next process; not for weights that are about to change. Raises InvalidSetting for an
    unknown name, an engine that is not available, and an engine named for a classical filter.
    """
    engines = _available(model, engine, accuracy)
    denoiser = model.denoiser
    if not isinstance(denoiser, Denoiser):
        return model
    if reason := _unexportable(denoiser):
        if engine != Eager.name:
            say(f"{model.name} {reason}, which no engine exports: plain PyTorch runs it")
        return model
    free = engine in (AUTO, MEASURE)
    verifier = Verifier(denoiser, keep)
    candidates = _candidates(engines, accuracy)
    first = _first_accurate(candidates, verifier, say, free)
    if first is None:
        say("warning: no engine passed; plain PyTorch is used")
        return model
    exact = None
    if first[1] != EXACT:
        found = _first_accurate([one for one in candidates if one[1] == EXACT], verifier, say, free)
        exact = EngineDenoiser(denoiser, found[0], EXACT, keep=keep) if found else None
    chosen = EngineDenoiser(denoiser, *first, exact, keep)
    if free and keep and model.device.type == "cpu":
        chosen = AutoDenoiser(chosen, _rivals(candidates, first), verifier, say, measure_now=engine == MEASURE)
    return replace(model, denoiser=chosen, engine=first[0].name, accuracy=first[1])


def _unexportable(denoiser: Denoiser) -> str:
    """Return what a network does that keeps it from being exported; '' for one that engines may run."""
    if is_sampler(denoiser.network):
        return "draws random numbers"
    return str(getattr(denoiser.network, "unexportable", ""))


def _available(model: LoadedModel, engine: str, accuracy: str) -> Mapping[str, Engine]:
    """Return the engines to choose from, by name."""
    if accuracy not in ACCURACIES:
        raise InvalidSetting(f"--accuracy {accuracy}: must be one of {', '.join(ACCURACIES)}")
    known = GPU if model.device.type == "cuda" else CPU
    if engine in (AUTO, MEASURE):
        available = {name: each for name, each in known.items() if not each.unavailable_reason()}
        if len(available) > 2:  # ONNX Runtime is slow to set up, and slower than any other engine where those run
            available.pop(OnnxRuntime.name, None)
        return available
    if engine not in known:
        on = f" on {model.device}" if engine in {**CPU, **GPU} else ""
        raise InvalidSetting(f"--engine {engine}: not one of {', '.join([AUTO, MEASURE, *known])}{on}")
    if not isinstance(model.denoiser, Denoiser):
        raise InvalidSetting(f"--engine {engine}: {model.name} is no network; leave --engine out")
    if reason := known[engine].unavailable_reason():
        raise InvalidSetting(f"--engine {engine}: {reason}")
    return {engine: known[engine]}


def _candidates(engines: Mapping[str, Engine], accuracy: str) -> Sequence[Candidate]:
    """Return every engine at this accuracy, in the order of preference, and then every engine at the exact one."""
    return [(each, level) for level in dict.fromkeys((accuracy, EXACT)) for each in engines.values()]


def _rivals(candidates: Sequence[Candidate], first: Candidate) -> Sequence[Candidate]:
    """Return the candidates that may take over from ``first``.

    PyTorch is none beside two other engines: it is the slowest everywhere, and takes the memory of one more network.
    """
    names = dict.fromkeys(engine.name for engine, _ in candidates)
    left_out = Eager.name if len(names) > 2 and first[0].name != Eager.name else None
    return [
        (engine, level)
        for engine, level in candidates
        if engine.name != left_out and (first[1] != EXACT or level == EXACT)
    ]


def _first_accurate(candidates: Sequence[Candidate], verifier: Verifier, say: Say, free: bool) -> Candidate | None:
    """Return the first candidate that is accurate; say before a check and, of a named engine, if it fails."""
    for engine, accuracy in candidates:
        if not engine.supports(accuracy):
            continue
        if verifier.keep and not verifier.known(engine, accuracy):
            say(f"checking {engine.name} ({accuracy}) on this machine, once for this model")
            slower = free and engine.name in CPU and engine.name != Winograd.name
            if slower and (missing := Winograd().unavailable_reason()):
                say(f"{Winograd.name}, the fastest engine, is missing: {missing}")
        fault = verifier.fault(engine, accuracy)
        if not fault:
            return engine, accuracy
        if not free:
            say(f"warning: {engine.name}, {accuracy}: {fault}; not used")
    return None
