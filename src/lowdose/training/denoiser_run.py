"""Training run of a denoiser: split by patient, pairing, patches, validation on held-out patients."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path

import torch
from lightning_fabric import Fabric

from lowdose.batch import PairedBatch
from lowdose.data.batches import batches
from lowdose.data.device_patches import DevicePatches, planes_bytes
from lowdose.data.pairs import PairedSlice, boxes_fingerprint, fingerprint, split_by_patient
from lowdose.data.patch_fields import USUAL, check_fields
from lowdose.data.patch_source import SliceCache
from lowdose.data.patches import Patches
from lowdose.data.simulated import SimulatedSlices
from lowdose.errors import InvalidSetting
from lowdose.models import checkpoint
from lowdose.networks.denoiser import Denoiser, channels_last
from lowdose.training.adversary import against
from lowdose.training.artefacts import MODEL, load_start_artefacts, load_start_model
from lowdose.training.hooks import Progress
from lowdose.training.pairing import FolderPairing, Pairing, large_enough, patches_of
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.runner import RunOptions, Say, TrainingStage, run_training, sharded_batches
from lowdose.training.validation import measure_training_domain, validate_denoiser
from lowdose.version import __version__

FROM_FOLDERS = FolderPairing()


def train_denoiser(
    name: str,
    recipe: DenoiserRecipe,
    items: Sequence[PairedSlice],
    run: Path,
    options: RunOptions,
    say: Say,
    progress: Progress,
    pairing: Pairing = FROM_FOLDERS,
    start: Path | None = None,
) -> bool:
    """Train ``recipe`` on ``items`` in the folder ``run``; True when complete, False when stopped early.

    say: receives messages. progress: see ``hooks.Progress``. pairing: where low-dose images come from.
    start: see ``artefacts.load_start_model``. Raises what ``run_training`` raises, and
    InvalidSetting when recipe, pairing, patients or initial weights do not fit together.
    """
    training, validation = split_by_patient(
        items, _count_validation_patients(items, recipe.hyperparameters.validation_patients)
    )
    large_enough(training, recipe.hyperparameters.patch)  # else nothing is written
    return run_training(
        lambda: _DenoiserJob(name, recipe, training, validation, pairing, start),
        recipe.hyperparameters,
        run,
        options,
        say,
        progress,
    )


class _DenoiserJob:
    """The job of training a denoiser; see ``runner.TrainingJob``."""

    def __init__(
        self, name: str, recipe: DenoiserRecipe, training: list[PairedSlice], validation: list[PairedSlice],
        pairing: Pairing, start: Path | None,
    ) -> None:  # fmt: skip
        if recipe.needs_dose and not pairing.states_dose:
            raise InvalidSetting(
                f"recipe {name}: needs the dose of each pair, which is unknown for scans; give normal-dose scans "
                "and --pairing simulated"
            )
        self._recipe, self._training, self._validation, self._pairing = recipe, training, validation, pairing
        self._denoiser = _new_denoiser(recipe)
        started = load_start_model(self._denoiser, start)
        self.method = recipe.method(self._denoiser, recipe.hyperparameters, recipe.teachers)
        if recipe.adversary is not None:
            self.method = against(recipe.adversary, self.method, recipe.teachers["features"])
        started |= load_start_artefacts(self.method, start, name)
        enough = pairing.paired or self.method.makes_low_dose
        check_fields(self.method.fields, type(self.method).__name__, enough, pairing.name)
        network: dict[str, object] = {"name": recipe.network.name, **recipe.network.settings}
        self.settings: dict[str, object] = {
            "recipe": name,
            "start": started if set(started) - {MODEL} else started.get(MODEL),
            "pairing": pairing.name,
            "data": fingerprint(training, validation),
            **boxes_fingerprint(training),
            **({"noise": pairing.source} if pairing.source else {}),
            **recipe.hyperparameters.relevant_to(pairing.name),
            **({"network": network} if recipe.accepts_any_network else {}),
            **({"base": recipe.base} if recipe.base is not None else {}),
            **({"adversary": asdict(recipe.adversary)} if recipe.adversary is not None else {}),
            **self.method.fingerprint(),
        }
        self.description: dict[str, object] = {
            "paper": recipe.paper,
            "network": network,
            "scale": recipe.scale.to_dict(),
            **recipe.teachers,
            "training": {"slices": len(training), "patients": len({i.patient for i in training})},
            "validation": {"slices": len(validation), "patients": len({i.patient for i in validation})},
        }

    def stage(self, run: Path, fabric: Fabric, say: Say) -> TrainingStage:
        """Pair the slices and return the callbacks of the training loop."""
        hyperparameters, denoiser = self._recipe.hyperparameters, self._denoiser
        if not self._validation:
            say("no patient is held out for validation: evaluate this model on other data")
        fields = self.method.fields
        context = max(denoiser.context, self.method.neighbours)
        patches = self._pairing.patches(self._training, hyperparameters, context, run, fabric, say, fields)
        if self.method.neighbours and not patches.slices.complete:
            raise InvalidSetting(
                f"recipe {self.settings['recipe']}: needs {context} slices on each side of a slice, which no slice of "
                "the data has; give whole series"
            )
        held_out: list[list[PairedSlice]] = []
        if fabric.is_global_zero:
            for remark in self._recipe.remarks(self.method, self._recipe.teachers):
                say(remark)
            held_out = self._pairing.held_out(self._validation, hyperparameters, denoiser.context, say)
        domain = measure_training_domain(patches)
        metadata = {
            **self.settings,
            "processes": fabric.world_size,
            "paper": self._recipe.paper,
            "lowdose": __version__,
            "slices": len(patches.slices),
        }

        def export(path: Path, step: int, steps: int) -> None:
            checkpoint.save_denoiser(path, denoiser, domain, {**metadata, "step": step, "steps": steps})

        own_batches = self._held_out_batches(held_out, context, fabric)

        def validate() -> dict[str, float]:
            return {**validate_denoiser(denoiser, held_out), **self.method.held_out_figures(own_batches())}

        size = hyperparameters.batch * hyperparameters.accumulate
        return TrainingStage(_patch_batches(patches, size, fabric), validate, export)

    def _held_out_batches(
        self, held_out: Sequence[Sequence[PairedSlice]], context: int, fabric: Fabric
    ) -> Callable[[], Iterator[PairedBatch]]:
        """Return the function that yields what the method's own figures are of: patches, each with a lesion.

        They are the same at each validation; none where the method has no such figures.
        """
        h, count = self._recipe.hyperparameters, self.method.held_out_patches
        if not held_out or not count:
            return lambda: iter(())
        items = list({item.key: item for around in held_out for item in around}.values())
        with_lesions = replace(h, lesion_share=1.0)
        patches = patches_of(SliceCache(items, context), with_lesions, self.method.fields, h.augmentation)
        steps = max(1, count // h.batch)
        return lambda: (fabric.to_device(each) for each in batches(patches, h.batch, 0, steps))


def _patch_batches(patches: Patches, size: int, fabric: Fabric) -> Callable[[int, int], Iterator[PairedBatch]]:
    """Return the function (first, last) that yields the batches of this process, cut on the GPU where that can be."""
    on_device = _patches_on_device(patches, fabric.device)
    if on_device is None:
        return sharded_batches(patches, size, fabric)
    recipes, compute = sharded_batches(on_device.recipes, size, fabric), on_device.compute
    return lambda first, last: map(compute, recipes(first, last))


def _patches_on_device(patches: Patches, device: torch.device) -> DevicePatches | None:
    """Return simulated patches as a GPU cuts them, if the planes take at most half of its free memory; else None.

    Lesions are inserted on the CPU, so patches with lesions are cut there, as are those with unusual fields.
    """
    usual = patches.lesion_share == 0 and set(patches.fields) <= set(USUAL)
    if device.type != "cuda" or not isinstance(patches.slices, SimulatedSlices) or not usual:
        return None
    free, _ = torch.cuda.mem_get_info(device)
    return DevicePatches(patches, device) if 2 * planes_bytes(patches.slices) <= free else None


def _new_denoiser(recipe: DenoiserRecipe) -> Denoiser:
    """Build an untrained denoiser; raises InvalidSetting if its network cannot process patches of this size."""
    stated = recipe.hyperparameters.stated_means_px
    denoiser = Denoiser(recipe.network, recipe.scale, recipe.context, stated_means_px=stated)
    channels_last(denoiser)
    patch = recipe.hyperparameters.patch
    if patch % denoiser.multiple or patch < denoiser.smallest:
        raise InvalidSetting(
            f"patch={patch}: this network needs a multiple of {denoiser.multiple}, at least {denoiser.smallest}"
        )
    return denoiser


def _count_validation_patients(items: Sequence[PairedSlice], setting: int) -> int:
    """Return the number of patients to hold out; a negative setting means one in five."""
    patients = len({item.patient for item in items})
    return setting if setting >= 0 else (max(1, patients // 5) if patients > 1 else 0)
