"""The training of a denoiser: split by patient, pair, cut patches, judge on patients held out."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lightning_fabric import Fabric

import lowdose
from lowdose.batch import PairedBatch
from lowdose.data.pairs import PairedSlice, fingerprint, split_by_patient
from lowdose.data.patches import batches
from lowdose.errors import InvalidSetting
from lowdose.models import checkpoint
from lowdose.networks.denoiser import Denoiser, channels_last
from lowdose.training.pairing import FolderPairing, Pairing
from lowdose.training.recipe import DenoiserRecipe
from lowdose.training.runner import RunOptions, Say, TrainingStage, loader_workers, run_training
from lowdose.training.validation import measure_training_domain, validate_denoiser

FROM_FOLDERS = FolderPairing()


def train_denoiser(
    name: str,
    recipe: DenoiserRecipe,
    items: Sequence[PairedSlice],
    run: Path,
    options: RunOptions,
    say: Say,
    progress: Callable[[int, float, float], None],
    pairing: Pairing = FROM_FOLDERS,
    start: Path | None = None,
) -> bool:
    """Train ``recipe`` on ``items`` in the folder ``run``; see ``run_training`` for what it returns and raises.

    start: weights of the same network and scale to go on from.
    """
    learn, check = split_by_patient(items, _held_out(items, recipe.hyperparameters.validation_patients))
    return run_training(
        lambda: _Denoising(name, recipe, learn, check, pairing, start),
        recipe.hyperparameters,
        run,
        options,
        say,
        progress,
    )


class _Denoising:
    """The job of training a denoiser."""

    def __init__(
        self, name: str, recipe: DenoiserRecipe, learn: list[PairedSlice], check: list[PairedSlice], pairing: Pairing,
        start: Path | None,
    ) -> None:  # fmt: skip
        if recipe.needs_dose and pairing.name != "simulated":
            raise InvalidSetting(
                f"recipe {name}: has to know the dose of each pair, which scans do not tell; give scans of normal "
                "dose and --pairing simulated"
            )
        self._recipe, self._learn, self._check, self._pairing = recipe, learn, check, pairing
        self._denoiser = _fresh(recipe)
        begun = None if start is None else _go_on(self._denoiser, start)
        self.method = recipe.method(
            self._denoiser, recipe.hyperparameters, recipe.teacher.name if recipe.teacher else ""
        )
        network: dict[str, object] = {"name": recipe.network.name, **recipe.network.settings}
        self.settings: dict[str, object] = {
            "recipe": name,
            "start": begun,
            "pairing": pairing.name,
            "data": fingerprint(learn, check),
            **recipe.hyperparameters.relevant_to(pairing.name),
            **({"network": network} if recipe.accepts_any_network else {}),
            **self.method.fingerprint(),
        }
        self.description: dict[str, object] = {
            "paper": recipe.paper,
            "network": network,
            "scale": recipe.scale.to_dict(),
            **({recipe.teacher.option: recipe.teacher.name} if recipe.teacher else {}),
            "training": {"slices": len(learn), "patients": len({i.patient for i in learn})},
            "validation": {"slices": len(check), "patients": len({i.patient for i in check})},
        }

    def stage(self, run: Path, fabric: Fabric, say: Say) -> TrainingStage:
        hyperparameters, denoiser = self._recipe.hyperparameters, self._denoiser
        if not self._check:
            say("no patient is held out for validation: judge this model on other data")
        patches = self._pairing.patches(self._learn, hyperparameters, denoiser.context, run, fabric, say)
        first = fabric.is_global_zero
        check = self._pairing.held_out(self._check, hyperparameters, denoiser.context, say) if first else []
        domain = measure_training_domain(patches)
        facts = {
            **self.settings,
            "processes": fabric.world_size,
            "paper": self._recipe.paper,
            "lowdose": lowdose.__version__,
            "slices": len(patches.slices),
        }

        def feed(first: int, last: int) -> Iterator[PairedBatch]:
            workers = loader_workers(fabric.device.type == "cuda")
            size = hyperparameters.batch * hyperparameters.accumulate
            return batches(patches, size, first, last, fabric.global_rank, fabric.world_size, workers)

        def export(path: Path, step: int) -> None:
            checkpoint.save_denoiser(path, denoiser, domain, {**facts, "step": step})

        return TrainingStage(feed, lambda: validate_denoiser(denoiser, check), export)


def _fresh(recipe: DenoiserRecipe) -> Denoiser:
    denoiser = Denoiser(recipe.network, recipe.scale, recipe.context)
    channels_last(denoiser)
    multiple, smallest = int(denoiser.network.multiple), int(denoiser.network.smallest)  # type: ignore[arg-type]
    patch = recipe.hyperparameters.patch
    if patch % multiple or patch < smallest:
        raise InvalidSetting(f"patch={patch}: this network needs a multiple of {multiple}, at least {smallest}")
    return denoiser


def _go_on(denoiser: Denoiser, start: Path) -> str:
    """Takes over weights; returns their SHA-256. Raises InvalidSetting when they are of another network or scale."""
    model = checkpoint.load_denoiser(str(start))
    there = model.denoiser
    if (there.spec, there.scale) != (denoiser.spec, denoiser.scale):
        raise InvalidSetting(
            f"{start}: holds {there.spec} on {there.scale}, this run trains {denoiser.spec} on {denoiser.scale}; "
            "start from weights of the same network"
        )
    denoiser.network.load_state_dict(there.network.state_dict())
    return model.sha256


def _held_out(items: Sequence[PairedSlice], wanted: int) -> int:
    patients = len({item.patient for item in items})
    return wanted if wanted >= 0 else (max(1, patients // 5) if patients > 1 else 0)
