"""Which engine a model runs on: the one that was asked for, or the fastest that is right, measured on this machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

import lowdose
from lowdose.errors import InvalidSetting
from lowdose.infer.engines import accuracy_check, engine_cache
from lowdose.infer.engines.accelerated import EngineDenoiser
from lowdose.infer.engines.accuracy_check import Difference
from lowdose.infer.engines.base import EXACT, PRECISIONS, Engine
from lowdose.infer.engines.cuda import Cuda
from lowdose.infer.engines.eager import Eager
from lowdose.infer.engines.onnx import OnnxRuntime
from lowdose.infer.engines.openvino import OpenVino
from lowdose.infer.engines.winograd.engine import Winograd
from lowdose.models.load import LoadedModel
from lowdose.networks.denoiser import Denoiser

AUTO = "auto"
CPU: Mapping[str, Engine] = {each.name: each for each in (Winograd(), OpenVino(), OnnxRuntime(), Eager())}
GPU: Mapping[str, Engine] = {each.name: each for each in (Cuda(),)}
ROUNDS = 3
Say = Callable[[str], None]


@dataclass(frozen=True)
class EngineTiming:
    """One engine at one precision on the built-in slice. fault: why it cannot be used, '' for none."""

    engine: str
    precision: str
    seconds: float
    fault: str


def run_on_engine(model: LoadedModel, engine: str = AUTO, precision: str = EXACT, say: Say = print) -> LoadedModel:
    """``model`` on an engine. ``say`` gets a sentence for all that is not as it was asked for, and for waiting.

    auto: the fastest of those that are there and pass the gate; exact engines count for fast too. Raises
    InvalidSetting for an unknown name, an engine that is not there, and one that is of no use to a classical filter.
    """
    there = _named(model, engine, precision)
    if not isinstance(model.denoiser, Denoiser):
        return model
    found = _measured(model.denoiser, there, precision, say)
    usable = [one for one in found if not one.fault]
    if engine != AUTO:
        for one in found:
            if one.fault:
                say(f"warning: {one.engine}, {one.precision}: {one.fault}; not used")
    wanted = [one for one in usable if one.precision == precision and engine != AUTO] or usable
    if not wanted:
        say("warning: no engine passed; plain PyTorch is used")
        return model
    best = min(wanted, key=lambda one: one.seconds)
    exact = [one for one in usable if one.precision == EXACT]
    sure = min(exact, key=lambda one: one.seconds) if exact and best.precision != EXACT else None
    instead = EngineDenoiser(model.denoiser, there[sure.engine], EXACT) if sure else None
    made = EngineDenoiser(model.denoiser, there[best.engine], best.precision, instead)
    return replace(model, denoiser=made, engine=best.engine, precision=best.precision)


def _named(model: LoadedModel, engine: str, precision: str) -> Mapping[str, Engine]:
    """The engines to choose from."""
    if precision not in PRECISIONS:
        raise InvalidSetting(f"--precision {precision}: must be one of {', '.join(PRECISIONS)}")
    known = GPU if model.device.type == "cuda" else CPU
    if engine == AUTO:
        there = {name: each for name, each in known.items() if not each.unavailable_reason()}
        if len(there) > 2:  # it is slower than either of the others wherever these run, and slow to set up
            there.pop(OnnxRuntime.name, None)
        return there
    if engine not in known:
        on = f" on {model.device}" if engine in {**CPU, **GPU} else ""
        raise InvalidSetting(f"--engine {engine}: not one of {', '.join([AUTO, *known])}{on}")
    if not isinstance(model.denoiser, Denoiser):
        raise InvalidSetting(f"--engine {engine}: {model.name} is no network; leave --engine out")
    if reason := known[engine].unavailable_reason():
        raise InvalidSetting(f"--engine {engine}: {reason}")
    return {engine: known[engine]}


def _measured(denoiser: Denoiser, engines: Mapping[str, Engine], precision: str, say: Say) -> Sequence[EngineTiming]:
    """Every engine that could serve, at this precision and at the exact one; from the record where it stands there."""
    work = [(each, wanted) for each in engines.values() for wanted in dict.fromkeys((precision, EXACT))]
    work = [(each, wanted) for each, wanted in work if each.supports(wanted)]
    facts = {f"{each.name} {wanted}": each.version for each, wanted in work}
    key = engine_cache.network_fingerprint(
        denoiser.network, lowdose=lowdose.__version__, spec=repr(denoiser.spec), scale=repr(denoiser.scale), **facts
    )
    noted = engine_cache.read_entry(key)
    if noted is not None:
        return [EngineTiming(**one) for one in noted["engines"]]
    say("measuring engines on this machine, once for this model")
    slices = accuracy_check.reference_slice(2 * denoiser.context + 1)
    right = _in_float64(denoiser, slices)
    found = [_measure(denoiser, each, wanted, slices, right) for each, wanted in work]
    engine_cache.write_entry(key, {"engines": [vars(one) for one in found]})
    return found


def _in_float64(denoiser: Denoiser, slices: torch.Tensor) -> NDArray[np.float64]:
    precise = deepcopy(denoiser).to("cpu", torch.float64)
    return np.asarray(precise.denoise(slices.double()).numpy())


def _measure(
    denoiser: Denoiser, engine: Engine, precision: str, slices: torch.Tensor, right: NDArray[np.float64]
) -> EngineTiming:
    device = next(denoiser.network.parameters()).device
    model, hu, spent = EngineDenoiser(denoiser, engine, precision), slices.to(device), []
    try:
        apart = Difference.between(right, model.denoise(hu).cpu().numpy())
        for _ in range(ROUNDS):
            start = time.perf_counter()
            model.denoise(hu).cpu()
            spent.append(time.perf_counter() - start)
    except Exception as error:  # an engine may fail in any way, and others are there
        text = " ".join(str(error).split())[:200]
        return EngineTiming(engine.name, precision, float("inf"), f"{type(error).__name__}: {text}")
    return EngineTiming(engine.name, precision, min(spent), apart.fault(precision))
