"""``lowdose train``: a recipe and data in, weights out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from typer.core import TyperCommand

from lowdose.cli.terminal import INTERRUPTED, NetworkFile, say

if TYPE_CHECKING:
    from lowdose.recipes import AnyRecipe


class TrainCommand(TyperCommand):
    """A command whose help lists the recipes and networks that there are, looked up when help is asked for."""

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Put the names into the help of the parameters."""
        from lowdose import recipes
        from lowdose.network_spec import network_names
        from lowdose.training.pairing_registry import pairing_names

        names = recipes.recipe_names()
        found = {name: recipe for name in names if (recipe := _recipe(name))}
        any_network = [name for name, recipe in found.items() if getattr(recipe, "accepts_any_network", False)]
        users: dict[str, list[str]] = {}
        for name, recipe in found.items():
            for kind in getattr(recipe, "teachers", ()):
                users.setdefault(kind, []).append(name)
        teachers = [f"{kind} ({', '.join(of)})" for kind, of in users.items()]
        lists = {
            "pairings": pairing_names(),
            "recipes": names,
            "any_network": any_network,
            "networks": network_names(),
            "teachers": teachers,
        }
        values = {key: ", ".join(words) for key, words in lists.items()}
        for parameter in self.params:
            for key, text in values.items():
                described: Any = parameter
                described.help = (described.help or "").replace(f"{{{key}}}", text)
        super().format_help(ctx, formatter)


def _recipe(name: str) -> AnyRecipe | None:
    """Return a recipe; None for one of a package that does not import."""
    from lowdose import recipes
    from lowdose.errors import LowDoseError

    try:
        return recipes.get_recipe(name)
    except LowDoseError:
        return None


def train(
    out: Annotated[
        Path,
        typer.Option("--out", "-o", help="Run folder: model.safetensors, log.csv, tensorboard, state.pt, run.json."),
    ],
    recipe: Annotated[str | None, typer.Argument(help="Name of a recipe: {recipes}.")] = None,
    recipe_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE.py", help="Instead of a name: a Python file of yours that defines RECIPE."),
    ] = None,
    network_file: NetworkFile = None,
    data: Annotated[
        list[Path] | None,
        typer.Option(
            help="Folder or pack with pairs of scans, or with normal-dose scans and --pairing simulated. For anatomy, "
            "optional: labelled CT scans. For leda_autoencoder: normal-dose scans. For noise_vae and noise_gan: "
            "low-dose scans of one scanner."
        ),
    ] = None,
    findings: Annotated[
        list[Path] | None,
        typer.Option(
            help="File or folder of annotated lesions in --data, for lidnet: COCO JSON, DICOM segmentations and "
            "structure sets, LIDC-IDRI's XML, DeepLesion's table, NIfTI masks. May be given several times."
        ),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="NAME=VALUE", help="A hyperparameter, for example steps=2000; run.json lists all."
        ),
    ] = None,
    split: Annotated[
        str | None, typer.Option(help="Published split whose training cases to use; 'lowdose data splits' lists them.")
    ] = None,
    pairing: Annotated[
        str | None,
        typer.Option(
            help="folders (the default but for tddl_gcn): pairs of scans; simulated: low dose is simulated from scans "
            "of normal dose; none: single scans of any dose; learned-noise: the noise of a model is put on scans of "
            "normal dose. There are {pairings}."
        ),
    ] = None,
    bank: Annotated[
        Path | None,
        typer.Option(
            help="Folder that keeps simulated noise (--pairing simulated) or digital patients (anatomy, "
            "leda_autoencoder) for other runs; if left out, inside the run folder."
        ),
    ] = None,
    noise: Annotated[
        Path | None,
        typer.Option(
            help="Noise model for --pairing learned-noise, or to take the strength of gaussian-noise and poisson-noise "
            "from: the run folder of noise_vae or noise_gan, or its file."
        ),
    ] = None,
    low: Annotated[
        list[Path] | None,
        typer.Option(
            help="Instead of --noise: low-dose scans of one scanner, whose noise is learned first, in RUN/noise. "
            "--set noise.steps=1000 is for this first training."
        ),
    ] = None,
    start: Annotated[
        Path | None,
        typer.Option(
            help="Weights of the same network to start from, by name or path; for fewer neighbouring slices, too. Or "
            "another file of a run, such as critic.safetensors, or a run folder: all that it holds."
        ),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:SETTING=NUMBER,...]",
            help="For {any_network}: the denoiser to train, one of {networks}.",
        ),
    ] = None,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:NAME",
            help="Frozen network by which the recipe compares images, in place of the usual one. Kinds: {teachers}.",
        ),
    ] = None,
    adversary: Annotated[
        str | None,
        typer.Option(
            metavar="NAME[:SETTING=NUMBER,...]",
            help="Discriminator in place of the recipe's own, or beside a loss that has none: anatomy (ALDEN's) or "
            "patch, as in anatomy:weight=0.0003,width=64.",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="RECIPE", help="For lidnet: the recipe whose denoiser learns together with the detector."),
    ] = None,
    autoencoder: Annotated[str | None, typer.Option(hidden=True)] = None,
    features: Annotated[str | None, typer.Option(hidden=True)] = None,
    size: Annotated[
        str | None, typer.Option(help="For leda_autoencoder: small (the default), paper or released.")
    ] = None,
    vocabulary: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|PATH",
            help="For leda_autoencoder: a vocabulary by name or a model's folder; the shipped one if left out.",
        ),
    ] = None,
    clip: Annotated[
        str | None,
        typer.Option(
            metavar="PATH", help="For leda_autoencoder: folder of a CLIP model that rates which words fit an image."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    devices: Annotated[int, typer.Option(help="Number of processes on each node, one GPU each.")] = 1,
    nodes: Annotated[int, typer.Option(help="Number of nodes, where Slurm has started the processes.")] = 1,
    precision: Annotated[str, typer.Option(help="auto, 32-true or bf16-mixed.")] = "auto",
    minutes: Annotated[
        float | None,
        typer.Option(
            help="Minutes for the whole run, instead of --set steps; the pace of its start sets their number."
        ),
    ] = None,
    checkpoint_minutes: Annotated[
        float | None,
        typer.Option(help="Save every so many minutes, besides every so many steps (--set checkpoint_every)."),
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Continue the run in --out exactly where it stopped.")
    ] = False,
) -> None:
    """Train a denoiser, the anatomy network, LEDA's autoencoder or a noise model.

    Denoisers learn from pairs of scans, or from scans of normal dose alone (--pairing simulated, or learned-noise with
    the noise of low-dose scans, which --low learns first).

    Ctrl-C saves; --resume goes on exactly where it stopped.
    """
    from lowdose import api

    run = api.train(
        recipe, out, recipe_file=recipe_file, network_file=network_file, data=data, findings=findings or None,
        set=setting or (),
        split=split, pairing=pairing, bank=bank, noise=noise, low=low, start=start,
        network=network, teacher=teacher, adversary=adversary, base=base, autoencoder=autoencoder, features=features,
        size=size, vocabulary=vocabulary, clip=clip,
        device=device, devices=devices, nodes=nodes, precision=precision,
        minutes=minutes, checkpoint_minutes=checkpoint_minutes, resume=resume,
    )  # fmt: skip
    if not run.complete:
        say(f"stopped early; continue with --resume (state in {out})")
        raise typer.Exit(INTERRUPTED)
    say(str(run.weights))
