"""The training of the anatomy network from digital patients and labelled scans to weights."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np
from lightning_fabric import Fabric

import lowdose
from lowdose.batch import LabelledBatch
from lowdose.data.labelled.dataset import LabelledDataset, LabelledSlice, labelled_batches
from lowdose.data.labelled.phantoms import PhantomDataset, validation_patient
from lowdose.io.atomic_replace import replace_file
from lowdose.methods.segmentation import Segmentation
from lowdose.metrics.label_overlap import Overlap
from lowdose.networks import anatomy
from lowdose.networks.denoiser import channels_last
from lowdose.networks.segmentation import segment_slice
from lowdose.organ_classes import CLASSES, INDEX, ORGANS, classes_of
from lowdose.phantom.patient import Patient
from lowdose.training.recipe import AnatomyRecipe
from lowdose.training.runner import RunOptions, Say, TrainingStage, loader_workers, run_training

BANK = "digital-patients"


def train_anatomy(
    name: str,
    recipe: AnatomyRecipe,
    real: Sequence[LabelledSlice],
    run: Path,
    options: RunOptions,
    say: Say,
    progress: Callable[[int, float, float], None],
    bank: Path | None = None,
    start: Path | None = None,
) -> bool:
    """Train in the folder ``run`` on digital patients, kept in ``bank``, and on ``real`` slices.

    start: weights to go on from. See ``run_training`` for what it returns and raises.
    """
    return run_training(
        lambda: _Naming(name, recipe, real, bank or run / BANK, start),
        recipe.hyperparameters,
        run,
        options,
        say,
        progress,
    )


class _Naming:
    """The job of training the anatomy network."""

    def __init__(
        self, name: str, recipe: AnatomyRecipe, real: Sequence[LabelledSlice], bank: Path, start: Path | None
    ) -> None:
        self._recipe, self._real, self._bank = recipe, real, bank
        self._network, begun = (anatomy.Anatomy(), None) if start is None else anatomy.read_anatomy(start)
        self._network.train().requires_grad_(True)
        channels_last(self._network)
        self.method = Segmentation(self._network)
        self.settings: dict[str, object] = {
            "recipe": name,
            "data": _fingerprint(real),
            "start": begun,
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
        hyperparameters, recipe, network = self._recipe.hyperparameters, self._recipe, self._network
        patients = PhantomDataset(self._bank, hyperparameters.patients)
        patients.build(lambda done, total: _tell(say, done, total), (fabric.global_rank, fabric.world_size))
        fabric.barrier()
        _ = patients.occurring  # once, before loader processes would each read every label
        views = LabelledDataset(
            patients,
            self._real,
            hyperparameters.real_share,
            hyperparameters.size,
            recipe.spatial,
            recipe.intensity,
            hyperparameters.seed,
        )

        def feed(first: int, last: int) -> Iterator[LabelledBatch]:
            workers = loader_workers(fabric.device.type == "cuda")
            return labelled_batches(
                views, hyperparameters.batch, first, last, fabric.global_rank, fabric.world_size, workers
            )

        judged = hyperparameters.validation_patients if fabric.is_global_zero else 0
        held_out = [validation_patient(number) for number in range(judged)]
        facts = {**self.settings, "paper": recipe.paper, "lowdose": lowdose.__version__}

        def export(path: Path, step: int) -> None:
            replace_file(path, anatomy.serialise_anatomy(network, {**facts, "step": step}))

        return TrainingStage(feed, lambda: validate_anatomy(network, held_out), export)


def validate_anatomy(network: anatomy.Anatomy, patients: Sequence[Patient]) -> dict[str, float]:
    """Mean Dice over organs of digital patients that are not trained on, as they are and with much noise."""
    if not patients:
        return {}
    found = {}
    for name, sd in (("clean", 5.0), ("noisy", 40.0)):
        overlap = Overlap(len(CLASSES))
        for number, patient in enumerate(patients):
            rng = np.random.default_rng(number)
            for hu, labels in zip(patient.volume.hu, patient.labels, strict=True):
                noisy = hu + np.float32(sd) * rng.standard_normal(hu.shape, np.float32)
                overlap.add(segment_slice(network, noisy, patient.volume.geometry.spacing[1:]), classes_of(labels))
        found[f"validation/dice_{name}"] = float(np.nanmean(overlap.dice()[[INDEX[organ.name] for organ in ORGANS]]))
    return found


def _tell(say: Say, done: int, total: int) -> None:
    if done % 20 == 0 or done == total:
        say(f"digital patients: {done}/{total}")


def _fingerprint(real: Sequence[LabelledSlice]) -> str:
    digest = hashlib.sha256(json.dumps(CLASSES).encode())
    for item in real:
        digest.update(np.ascontiguousarray(item.hu).tobytes() + item.classes.tobytes() + item.annotated.tobytes())
    return digest.hexdigest()[:16]
