"""Measure how strong the further terms of recipe ``noise_free`` are beside mean squared error, by their gradients.

    python -m experiments.zoo.gradient_ratio SET OUT [--model fast] [--patches 64] [--bank BANK]

SET: folder of normal-dose series. For each random patch the gradient of each term with respect
to all weights of the model is computed with weight 1. The ratio of mean squared error to the term, of the norms of the
mean gradients, is the weight at which both are equally strong there; so is, for a patch, the ratio of its gradients, of
which the median is stated. Writes OUT/gradients.csv.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.nn import functional

from experiments.common.csv_file import write_rows
from lowdose import recipes
from lowdose.api.training_request import CALIBRATION
from lowdose.batch import PairedBatch
from lowdose.data.batches import batches
from lowdose.data.simulated import simulated_slices
from lowdose.data.training_set import find_normal_dose, open_training_set
from lowdose.methods.supervised import Supervised
from lowdose.models import checkpoint
from lowdose.simulation.calibration import calibrate_slices
from lowdose.training.simulated_pairing import SimulatedPairing

TERMS = {"spectrum_weight": 1.0, "lesion_share": 1.0, "lesion_weight": 1.0}


def term_gradients(method: Supervised, batch: PairedBatch) -> dict[str, tuple[float, Tensor]]:
    """Return by term its value for one batch, and its gradient with respect to all weights, as one vector."""
    (update,) = method.updates(batch)
    parameters = [p for p in method.model.parameters() if p.requires_grad]
    terms = list(update.terms.items())
    found = {}
    for number, (name, value) in enumerate(terms, 1):
        gradients = torch.autograd.grad(value, parameters, retain_graph=number < len(terms))
        found[name] = float(value.detach()), torch.cat([gradient.flatten() for gradient in gradients])
    return found


def summarise(
    total: Mapping[str, Tensor], norms: Mapping[str, Sequence[float]], values: Mapping[str, Sequence[float]]
) -> list[dict[str, object]]:
    """Return a row for each term from the sums of its gradients, their norms and its values in single patches."""
    rows: list[dict[str, object]] = []
    for name, gradient in total.items():
        single, mse = np.array(norms[name]), np.array(norms["mse"])
        known = single > 0  # of lesions, only patches that have one
        rows.append({
            "term": name,
            "patches": int(known.sum()),
            "value, mean": f"{np.mean(values[name]):.3g}",
            "norm of the mean gradient": f"{float(gradient.norm()) / len(single):.3g}",
            "norm in a patch, median": f"{np.median(single[known]):.3g}",
            "weight of equal strength": f"{float(total['mse'].norm() / gradient.norm()):.2g}",
            "the same in a patch, median": f"{np.median(mse[known] / single[known]):.2g}",
            "cosine with mse": f"{float(functional.cosine_similarity(total['mse'], gradient, dim=0)):+.2f}",
        })  # fmt: skip
    return rows


def main() -> None:
    """Measure all patches, print the rows and write them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("set", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--model", default="fast", help="name or path of a denoiser")
    parser.add_argument("--patches", type=int, default=64)
    parser.add_argument("--level", type=float, default=1.0, help="spectrum_level of the recipe")
    parser.add_argument("--seed", type=int, default=0, help="of the patches; those of a training have its seed")
    parser.add_argument("--bank", type=Path, help="folder of the noise bank; by default OUT/noise-bank")
    arguments = parser.parse_args()
    recipe = recipes.get_recipe("noise_free")
    hyperparameters = replace(recipe.hyperparameters, **TERMS, spectrum_level=arguments.level, seed=arguments.seed)
    denoiser = checkpoint.load_denoiser(arguments.model).denoiser
    method = recipe.method(denoiser, hyperparameters, {})
    arguments.out.mkdir(parents=True, exist_ok=True)
    total: dict[str, Tensor] = {}
    norms: dict[str, list[float]] = {}
    values: dict[str, list[float]] = {}
    with ExitStack() as stack:
        items = open_training_set(stack, [arguments.set], find=find_normal_dose).items
        pairing = SimulatedPairing(calibrate_slices, CALIBRATION, arguments.bank)
        fabric = Fabric(accelerator="cpu", devices=1)
        patches = pairing.patches(
            simulated_slices([item.normal for item in items])[0], hyperparameters, 0, arguments.out, fabric, print
        )
        for batch in batches(patches, 1, 0, arguments.patches):
            for name, (value, gradient) in term_gradients(method, batch).items():
                values.setdefault(name, []).append(value)
                total[name] = total.get(name, torch.zeros_like(gradient)) + gradient
                norms.setdefault(name, []).append(float(gradient.norm()))
    rows = summarise(total, norms, values)
    write_rows(arguments.out / "gradients.csv", rows)
    for row in rows:
        print(row)


if __name__ == "__main__":
    main()
