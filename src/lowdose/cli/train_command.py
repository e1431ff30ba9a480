"""``lowdose train``: a recipe and data in, weights out."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowdose.cli import train_anatomy, train_autoencoder, train_denoiser
from lowdose.cli.terminal import INTERRUPTED, say
from lowdose.cli.training import Asked


def train(
    recipe: Annotated[
        str, typer.Argument(help="anatomy, esau_net, leda, leda_autoencoder, perceptual, red_cnn or unet.")
    ],
    out: Annotated[Path, typer.Option(help="Run folder: model.safetensors, log.csv, tensorboard, state.pt, run.json.")],
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder in which pairs (or normal-dose scans, see --pairing) lie, or a pack. For anatomy, which can "
            "do without: folders with a CT and its organ labels. For leda_autoencoder: scans of normal dose."
        ),
    ] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", metavar="NAME=VALUE", help="Any number.")] = None,
    split: Annotated[
        str | None, typer.Option(help="Published split whose training cases to use; 'lowdose data splits' lists them.")
    ] = None,
    pairing: Annotated[
        str | None,
        typer.Option(
            help="folders (the default): pairs of scans; simulated: low dose is simulated from scans of normal dose."
        ),
    ] = None,
    bank: Annotated[
        Path | None,
        typer.Option(
            help="With simulated, folder for the noise; with anatomy and leda_autoencoder, for the digital patients: "
            "to be used again. Else a folder in the run folder."
        ),
    ] = None,
    start: Annotated[Path | None, typer.Option(help="Weights to go on from, of the same network.")] = None,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:SETTING=NUMBER,...]",
            help="For leda and perceptual, what to train: cpce, esau_net, red_cnn (the default) or unet.",
        ),
    ] = None,
    autoencoder: Annotated[
        str | None, typer.Option(metavar="NAME|PATH", help="For leda: the autoencoder; the shipped one if left out.")
    ] = None,
    features: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:WEIGHTS]",
            help="For perceptual and leda_autoencoder: whose features to compare; else 'anatomy'.",
        ),
    ] = None,
    size: Annotated[
        str | None, typer.Option(help="For leda_autoencoder: small (the default), paper or released.")
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH", help="For leda_autoencoder: its words; else the shipped ones. Or a model's folder."
        ),
    ] = None,
    clip: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="For leda_autoencoder: a CLIP model's folder, to say which words fit an image."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="Number of processes on each node, one GPU each.")] = 1,
    nodes: Annotated[int, typer.Option(help="Number of nodes, where Slurm has started the processes.")] = 1,
    precision: Annotated[str, typer.Option(help="auto, 32-true or bf16-mixed.")] = "auto",
    resume: Annotated[bool, typer.Option("--resume", help="Continue the run in --out exactly.")] = False,
) -> None:
    """Train a denoiser on pairs of scans, or on scans of normal dose alone; or the anatomy network, or LEDA's
    autoencoder.

    Ctrl-C saves; --resume goes on as if nothing had happened.
    """
    from lowdose import recipes
    from lowdose.training.leda_autoencoder.recipe import AutoencoderRecipe
    from lowdose.training.recipe import AnatomyRecipe
    from lowdose.training.runner import MODEL_FILE, RunOptions

    chosen = recipes.get_recipe(recipe)
    asked = Asked(
        recipe, out, data or [], setting or [], RunOptions(device, devices, nodes, precision, resume),
        split, pairing, bank, start, network, autoencoder, features, size, vocabulary, clip,
    )  # fmt: skip
    if isinstance(chosen, AnatomyRecipe):
        done = train_anatomy.train(asked, chosen)
    elif isinstance(chosen, AutoencoderRecipe):
        done = train_autoencoder.train(asked, chosen)
    else:
        done = train_denoiser.train(asked, chosen)
    if not done:
        say(f"stopped early; continue with --resume (state in {out})")
        raise typer.Exit(INTERRUPTED)
    say(str(out / MODEL_FILE))
