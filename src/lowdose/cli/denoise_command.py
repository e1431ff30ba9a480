"""``lowdose denoise``: a series in, a derived series out."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from lowdose.cli.archive import denoise_archive
from lowdose.cli.rescale import RescaleOption, parse_rescale
from lowdose.cli.terminal import NetworkFile, Pixel, Thickness, WordVocabulary, output_of, progress, refuse_given, say
from lowdose.deprecations import warn_deprecated
from lowdose.io.messages import counted


def denoise(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="DICOM folder, file, zip or tar; NIfTI; NPY or NPZ in HU.")
    ],
    output: Annotated[Path | None, typer.Argument(hidden=True)] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="New folder (DICOM) or file (other formats). Required.")
    ] = None,
    model: Annotated[
        str | None, typer.Option(help="Model by name ('lowdose models'), safetensors file, or nlm, tv, gaussian.")
    ] = None,
    network_file: NetworkFile = None,
    steps: Annotated[
        int | None, typer.Option(help="Number of sampling steps, for models that sample, such as diffusion models.")
    ] = None,
    depth: Annotated[
        int | None, typer.Option(help="Number of iterations, for models that are an unrolled iteration.")
    ] = None,
    strength: Annotated[
        float,
        typer.Option(
            help="Fraction of the model's output in the result: 0 is the input bit for bit, 1 the full output."
        ),
    ] = 1.0,
    dose: Annotated[
        float | None,
        typer.Option(help="Dose of this scan as a fraction of its usual dose; estimated from its noise if left out."),
    ] = None,
    noise_sd: Annotated[
        float | None,
        typer.Option(metavar="HU", help="SD of the noise that is to remain, instead of --dose and --texture."),
    ] = None,
    texture: Annotated[
        str | None,
        typer.Option(
            help="How much noise remains: smooth (lowest error), balanced (the default), natural (as at usual dose)."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    engine: Annotated[
        str,
        typer.Option(
            help="Inference engine: auto (the fastest on this machine), measure (the same, after measuring them anew), "
            "winograd, openvino, onnxruntime, torch."
        ),
    ] = "auto",
    accuracy: Annotated[
        str | None,
        typer.Option(
            help="exact (the default): within 0.01 HU of float64. fast: within 1 HU rms, checked on your own slices."
        ),
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(help="Slices denoised at a time, which share the cores; with --ray, the number of workers."),
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]", help="INPUT is an archive: denoise every series in it with Ray, here or on a cluster."
        ),
    ] = None,
    retry: Annotated[
        bool,
        typer.Option("--retry", help="With --ray: try those in quarantine (series that could not be denoised) again."),
    ] = False,
    hashed_names: Annotated[
        bool,
        typer.Option("--hashed-names", help="With --ray: name result folders by a hash instead of as in the archive."),
    ] = False,
    quarantine_folders: Annotated[
        bool,
        typer.Option(
            "--quarantine-folders",
            help="With --ray: name folders and files in quarantine.csv, though they may name patients.",
        ),
    ] = False,
    series: Annotated[
        str | None, typer.Option(help="SeriesInstanceUID, or its end, if the input contains several series.")
    ] = None,
    pixel: Pixel = None,
    thickness: Thickness = None,
    strict: Annotated[
        bool,
        typer.Option(
            "--strict", help="Refuse a series outside the range of the model's training, instead of a warning."
        ),
    ] = False,
    rescale: RescaleOption = None,
    preview: Annotated[bool, typer.Option("--preview", help="Write a PNG: before, after, difference.")] = False,
    manifest: Annotated[bool, typer.Option("--manifest", help="Write a manifest of the run as JSON.")] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Describe input and output in words, too, and list regions where these differ."),
    ] = False,
    autoencoder: Annotated[
        str | None, typer.Option(help="For --explain: shipped autoencoder, or a safetensors file.")
    ] = None,
    explain_slices: Annotated[
        int | None, typer.Option(help="For --explain: number of slices, evenly spread, 12 if left out; 0 = all.")
    ] = None,
    vocabulary: WordVocabulary = None,
    old_json: Annotated[bool, typer.Option("--json", hidden=True)] = False,
    old_precision: Annotated[str | None, typer.Option("--precision", hidden=True)] = None,
) -> None:
    """Denoise a CT series, or with --ray all those of an archive. Originals stay as they are.

    A run that fails leaves nothing behind. With --ray, exit code 3 says that some series could not be denoised, and
    quarantine.csv says why.
    """
    target = output_of(out, output)
    if old_json:
        warn_deprecated("--json", "--manifest")
    accuracy = _accuracy(accuracy, old_precision)
    if ray is not None:
        refuse_given(
            "is for a single series; leave it out with --ray", series=series, preview=preview, explain=explain,
            autoencoder=autoencoder, explain_slices=explain_slices, vocabulary=vocabulary, network_file=network_file,
            steps=steps, depth=depth,
        )  # fmt: skip
        settings = {
            "model": model, "strength": strength, "dose": dose, "noise_sd": noise_sd, "texture": texture,
            "device": device, "engine": engine, "accuracy": accuracy, "rescale": parse_rescale(rescale),
            "pixel": pixel, "thickness": thickness, "strict": strict,
        }  # fmt: skip
        options = {
            "cluster": ray, "jobs": jobs or 0, "retry": retry, "hashed_names": hashed_names,
            "quarantine_folders": quarantine_folders,
        }  # fmt: skip
        denoise_archive(source, target, settings, options)
        return
    refuse_given(
        "is for an archive; add --ray, or leave it out", retry=retry, hashed_names=hashed_names,
        quarantine_folders=quarantine_folders,
    )  # fmt: skip
    if not explain:
        refuse_given("needs --explain; add it, or leave this out", explain_slices=explain_slices)
    from lowdose import api, memory

    started = time.perf_counter()
    memory.keep_for_reuse()
    with progress("denoising") as advance:
        result = api.denoise(
            source, target, model=model, network_file=network_file, steps=steps, depth=depth, strength=strength,
            dose=dose, noise_sd=noise_sd, texture=texture,
            device=device, engine=engine, accuracy=accuracy,
            jobs=1 if jobs is None else jobs, series=series, pixel=pixel, thickness=thickness,
            rescale=parse_rescale(rescale), strict=strict, preview=preview, manifest=manifest or old_json,
            explain=explain, autoencoder=autoencoder, explain_slices=12 if explain_slices is None else explain_slices,
            vocabulary=vocabulary,
            progress=advance,
        )  # fmt: skip
    say(f"{counted(result.slices, 'slice')} in {time.perf_counter() - started:.1f} s -> {target}")


def _accuracy(accuracy: str | None, precision: str | None) -> str:
    """Return the accuracy that was asked for, also by its old name."""
    if precision is not None:
        warn_deprecated(f"--precision {precision}", f"--accuracy {precision}")
    return accuracy or precision or "exact"
