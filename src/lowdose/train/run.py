"""A training run from folders to weights: find pairs, split by patient, train, write model and log."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from lightning_fabric import Fabric, seed_everything

import lowdose
from lowdose import checkpoint
from lowdose.batch import Batch
from lowdose.data.pairs import PairedSlice, fingerprint, split_by_patient
from lowdose.data.patches import batches
from lowdose.device import choose_device
from lowdose.errors import InvalidSetting, OutputRefused
from lowdose.io.atomic import refusing
from lowdose.networks.denoiser import Denoiser, channels_last
from lowdose.train.assess import training_domain, validation
from lowdose.train.loop import STATE, Hooks, Trainer
from lowdose.train.pairing import Folders, Pairing
from lowdose.train.recipe import Recipe
from lowdose.train.stop import Stop

MODEL = "model.safetensors"
FOLDERS = Folders()
PRECISIONS = ("auto", "32-true", "bf16-mixed")


@dataclass(frozen=True)
class Options:
    """Where and how a run computes; none of it changes what is learned, except precision by rounding.

    devices: processes, one GPU or CPU share each. precision: '32-true', 'bf16-mixed' or 'auto'.
    """

    device: str = "auto"
    devices: int = 1
    precision: str = "auto"
    resume: bool = False


def choose_precision(wanted: str, cuda: bool) -> Any:
    """bf16-mixed where the hardware multiplies bf16 natively, otherwise 32-true."""
    if wanted not in PRECISIONS:
        raise InvalidSetting(f"--precision {wanted}: must be one of {', '.join(PRECISIONS)}")
    if wanted != "auto":
        return wanted
    native = torch.cuda.is_bf16_supported() if cuda else _cpu_multiplies_bf16()
    return "bf16-mixed" if native else "32-true"


def train(
    name: str,
    recipe: Recipe,
    items: Sequence[PairedSlice],
    run: Path,
    options: Options,
    say: Callable[[str], None],
    progress: Callable[[int, float, float], None],
    pairing: Pairing = FOLDERS,
) -> bool:
    """Train ``recipe`` on ``items`` in the folder ``run``; True when complete, False when stopped by a signal.

    Raises OutputRefused when the folder already holds a run and ``resume`` is off; InvalidSetting when it is on and
    there is nothing to resume, or other numbers.
    """
    numbers = recipe.numbers
    if (run / STATE).exists() and not options.resume:
        raise OutputRefused(f"{run}: holds a run already; continue it with --resume or choose another folder")
    learn, check = split_by_patient(items, _held_out(items, numbers.validation_patients))
    fabric = _launch(options)
    seed_everything(numbers.seed, verbose=False)
    denoiser = _fresh(recipe)
    trainer = Trainer(fabric, recipe.method(denoiser), numbers, run)
    settings = {
        "recipe": name,
        "pairing": pairing.name,
        "processes": fabric.world_size,
        "data": fingerprint(learn, check),
        **numbers.of_pairing(pairing.name),
    }
    if options.resume:
        trainer.resume(settings)
    elif fabric.is_global_zero:
        _describe_run(run, recipe, settings, learn, check)
    speak = say if fabric.is_global_zero else silent
    if not check:
        speak("no patient is held out for validation: judge this model on other data")
    patches = pairing.patches(learn, numbers, run, fabric, speak)
    check = pairing.held_out(check, numbers, speak) if fabric.is_global_zero else []
    domain = training_domain(patches)
    facts = {**settings, "paper": recipe.paper, "lowdose": lowdose.__version__, "slices": len(patches.slices)}

    def export() -> None:
        checkpoint.save(run / MODEL, denoiser, domain, {**facts, "step": trainer.step})

    def feed(first: int, last: int) -> Iterator[Batch]:
        workers = loaders(fabric.device.type == "cuda")
        return batches(patches, numbers.batch, first, last, fabric.global_rank, fabric.world_size, workers)

    with Stop() as stop:
        hooks = Hooks(feed, lambda: validation(denoiser, check), export, progress, lambda: stop.asked)
        return trainer.fit(settings, hooks)


def silent(text: str) -> None:
    """The voice of every process but the first."""


def _fresh(recipe: Recipe) -> Denoiser:
    denoiser = Denoiser(recipe.network, recipe.scale)
    channels_last(denoiser)
    multiple, smallest = int(denoiser.network.multiple), int(denoiser.network.smallest)  # type: ignore[arg-type]
    patch = recipe.numbers.patch
    if patch % multiple or patch < smallest:
        raise InvalidSetting(f"patch={patch}: this network needs a multiple of {multiple}, at least {smallest}")
    return denoiser


def _launch(options: Options) -> Fabric:
    cuda = choose_device(options.device).type == "cuda"
    if options.devices < 1:
        raise InvalidSetting(f"--devices {options.devices}: must be at least 1")
    logging.getLogger("lightning.fabric").setLevel(logging.WARNING)  # it would announce the precision
    fabric = Fabric(
        accelerator="cuda" if cuda else "cpu",
        devices=options.devices,
        strategy="ddp" if options.devices > 1 else "auto",
        precision=choose_precision(options.precision, cuda),
    )
    fabric.launch()
    return fabric


def loaders(cuda: bool) -> int:
    """Processes that cut patches: a GPU must not wait for them; on a CPU they would only take its cores."""
    return min(8, (os.cpu_count() or 2) - 1) if cuda else 0


def _cpu_multiplies_bf16() -> bool:
    """No public call tells; where the private one is gone, float32 is merely slower."""
    return bool(getattr(torch.cpu, "_is_avx512_bf16_supported", bool)())


def _held_out(items: Sequence[PairedSlice], wanted: int) -> int:
    patients = len({item.patient for item in items})
    return wanted if wanted >= 0 else (max(1, patients // 5) if patients > 1 else 0)


def _describe_run(
    run: Path, recipe: Recipe, settings: Mapping[str, object], learn: list[PairedSlice], check: list[PairedSlice]
) -> None:
    content = {
        "paper": recipe.paper,
        "settings": settings,
        "network": {"name": recipe.network.name, **recipe.network.settings},
        "scale": recipe.scale.to_dict(),
        "training": {"slices": len(learn), "patients": len({i.patient for i in learn})},
        "validation": {"slices": len(check), "patients": len({i.patient for i in check})},
        "versions": {"lowdose": lowdose.__version__, "torch": torch.__version__, "numpy": np.__version__},
    }
    with refusing(run):
        run.mkdir(parents=True, exist_ok=True)
        (run / "run.json").write_text(json.dumps(content, indent=2), encoding="utf-8")
