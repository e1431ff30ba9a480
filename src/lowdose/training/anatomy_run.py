"""Training run of the anatomy network on digital patients and labelled scans."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric

from lowdose.data.labelled.dataset import LabelledDataset, LabelledSlice
from lowdose.data.labelled.phantoms import PhantomDataset, validation_patient
from lowdose.io.atomic_replace import replace_file
from lowdose.methods.segmentation import Segmentation
from lowdose.metrics.label_overlap import Overlap
from lowdose.networks import anatomy
from lowdose.networks.denoiser import channels_last
from lowdose.networks.segmentation import segment_slice
from lowdose.organ_classes import CLASSES, INDEX, ORGANS, classes_of
from lowdose.phantom.patient import Patient
from lowdose.training.anatomy_recipe import AnatomyRecipe
from lowdose.training.hooks import Progress
from lowdose.training.runner import RunOptions, Say, TrainingStage, run_training, sharded_batches
from lowdose.version import __version__

BANK = "digital-patients"


def train_anatomy(
    name: str,
    recipe: AnatomyRecipe,
    real: Sequence[LabelledSlice],
    run: Path,
    options: RunOptions,
    say: Say,
    progress: Progress,
    bank: Path | None = None,
    start: Path | None = None,
) -> bool:
    """Train in the folder ``run`` on digital patients and on ``real`` slices; True when complete, False when stopped.

    say: receives messages. progress: see ``hooks.Progress``. bank: folder of the digital patients, by
    default in ``run``. start: file with initial weights. Raises what ``run_training`` raises.
    """
    return run_training(
        lambda: _AnatomyJob(name, recipe, real, bank or run / BANK, start),
        recipe.hyperparameters,
        run,
        options,
        say,
        progress,
    )


class _AnatomyJob:
    """The job of training the anatomy network; see ``runner.TrainingJob``."""

    def __init__(
        self, name: str, recipe: AnatomyRecipe, real: Sequence[LabelledSlice], bank: Path, start: Path | None
    ) -> None:
        self._recipe, self._real, self._bank = recipe, real, bank
        self._network, start_sha256 = (anatomy.Anatomy(), None) if start is None else anatomy.read_anatomy(start)
        self._network.train().requires_grad_(True)
        channels_last(self._network)
        self.method = Segmentation(self._network)
        self.settings: dict[str, object] = {
            "recipe": name,
            "data": _hash_slices(real),
            "start": start_sha256,
            **asdict(recipe.hyperparameters),
        }
        self.description: dict[str, object] = {
            "paper": recipe.paper,
            "classes": CLASSES,
            "bending": asdict(recipe.spatial),
            "appearance": asdict(recipe.intensity),
            "real": {"slices": len(real), "patients": len({item.patient for item in real})},
        }

    def stage(self, run: Path, fabric: Fabric, say: Say) -> TrainingStage:
        """Build the missing digital patients and return the callbacks of the training loop."""
        hyperparameters, recipe, network = self._recipe.hyperparameters, self._recipe, self._network
        patients = PhantomDataset(self._bank, hyperparameters.patients)
        process, cores = (fabric.global_rank, fabric.world_size), torch.get_num_threads()
        patients.build(lambda done, total: _tell(say, done, total), process, cores)
        fabric.barrier()
        _ = patients.occurring  # computed here once, or each loader process would read every label
        dataset = LabelledDataset(
            patients,
            self._real,
            hyperparameters.real_share,
            hyperparameters.size,
            recipe.spatial,
            recipe.intensity,
            hyperparameters.seed,
        )

        held_out_patients = hyperparameters.validation_patients if fabric.is_global_zero else 0
        held_out = [validation_patient(number) for number in range(held_out_patients)]
        metadata = {**self.settings, "paper": recipe.paper, "lowdose": __version__}

        def export(path: Path, step: int, steps: int) -> None:
            replace_file(path, anatomy.serialise_anatomy(network, {**metadata, "step": step, "steps": steps}))

        return TrainingStage(
            sharded_batches(dataset, hyperparameters.batch, fabric), lambda: validate_anatomy(network, held_out), export
        )


def validate_anatomy(network: anatomy.Anatomy, patients: Sequence[Patient]) -> dict[str, float]:
    """Return the mean Dice over organs of the given digital patients, at low noise (SD 5 HU) and at high (40 HU)."""
    if not patients:
        return {}
    metrics = {}
    for name, sd in (("clean", 5.0), ("noisy", 40.0)):
        overlap = Overlap(len(CLASSES))
        for number, patient in enumerate(patients):
            rng = np.random.default_rng(number)
            for hu, labels in zip(patient.volume.hu, patient.labels, strict=True):
                noisy = hu + np.float32(sd) * rng.standard_normal(hu.shape, np.float32)
                overlap.add(segment_slice(network, noisy, patient.volume.geometry.spacing[1:]), classes_of(labels))
        metrics[f"validation/dice_{name}"] = float(np.nanmean(overlap.dice()[[INDEX[organ.name] for organ in ORGANS]]))
    return metrics


def _tell(say: Say, done: int, total: int) -> None:
    """Report every 20th digital patient and the last."""
    if done % 20 == 0 or done == total:
        say(f"digital patients: {done}/{total}")


def _hash_slices(real: Sequence[LabelledSlice]) -> str:
    """Return a hash of the list of classes and of all labelled slices."""
    digest = hashlib.sha256(json.dumps(CLASSES).encode())
    for item in real:
        digest.update(np.ascontiguousarray(item.hu).tobytes() + item.classes.tobytes() + item.annotated.tobytes())
    return digest.hexdigest()[:16]
