"""``lowdose denoise``: a series in, a derived series out."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowdose.cli.archive import denoise_archive
from lowdose.cli.explain_command import MOST_SLICES
from lowdose.cli.terminal import progress, say, say_all

if TYPE_CHECKING:
    from lowdose.image import HU, Slice


def denoise(
    source: Annotated[
        Path, typer.Argument(metavar="INPUT", help="DICOM folder, file or zip; NIfTI; NPY or NPZ in HU.")
    ],
    output: Annotated[Path, typer.Argument(help="New folder (DICOM) or file (other formats).")],
    model: Annotated[
        str | None, typer.Option(help="Model by name ('lowdose models'), safetensors file, or nlm, tv, gaussian.")
    ] = None,
    strength: Annotated[float, typer.Option(help="0 = the input bit for bit, 1 = the model's full output.")] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    engine: Annotated[
        str,
        typer.Option(help="What runs the network: auto (the fastest here), winograd, openvino, onnxruntime, torch."),
    ] = "auto",
    precision: Annotated[
        str, typer.Option(help="exact: within 0.01 HU of float64. fast: within 1 HU rms, checked on your own slices.")
    ] = "exact",
    jobs: Annotated[
        int | None, typer.Option(help="Slices at a time, each by its share of the cores; with --ray, workers.")
    ] = None,
    ray: Annotated[
        str | None,
        typer.Option(
            metavar="[ADDRESS]", help="INPUT is an archive: every series in it, by Ray, here or on a cluster."
        ),
    ] = None,
    retry: Annotated[bool, typer.Option("--retry", help="With --ray: try what is in quarantine once more.")] = False,
    series: Annotated[str | None, typer.Option(help="SeriesInstanceUID, or its end, where there are several.")] = None,
    preview: Annotated[bool, typer.Option("--preview", help="Write a PNG: before, after, difference.")] = False,
    manifest: Annotated[bool, typer.Option("--json", help="Write a manifest of the run as JSON.")] = False,
    explain: Annotated[
        bool, typer.Option("--explain", help="Write the words of input and output, and where they drifted apart.")
    ] = False,
    autoencoder: Annotated[
        str | None, typer.Option(help="For --explain: shipped autoencoder, or a safetensors file.")
    ] = None,
    explain_slices: Annotated[
        int, typer.Option(help="For --explain: slices to read, evenly spread; 0 = all.")
    ] = MOST_SLICES,
) -> None:
    """Denoise one CT series, or with --ray an archive. Originals stay as they are, a failed run leaves nothing."""
    if ray is not None:
        _refuse_with_ray(series=series, preview=preview, explain=explain, autoencoder=autoencoder)
        settings = {"model": model, "strength": strength, "device": device, "engine": engine, "precision": precision}
        denoise_archive(source, output, settings, ray, jobs or 0, retry)
        return
    from lowdose import memory
    from lowdose.cli.explaining import explaining
    from lowdose.device import choose_device
    from lowdose.infer import pipeline
    from lowdose.infer.engines.select_engine import run_on_engine
    from lowdose.infer.series_setup import build_manifest as describe
    from lowdose.infer.series_setup import set_up_series
    from lowdose.io.open_series import open_sink, open_source
    from lowdose.models import checkpoint, load

    started = time.perf_counter()
    pipeline.check_strength(strength)
    memory.keep_for_reuse()
    ready = run_on_engine(
        load.load_by_name(model or checkpoint.DEFAULT_MODEL, choose_device(device)), engine, precision, say
    )
    words = explaining(explain, autoencoder, explain_slices, ready)
    say(
        f"model {ready.name}{'' if model else ' (the shipped default)'} on {ready.device} "
        f"({ready.engine}, {ready.precision}), strength {strength:g}"
    )
    with open_source(source, series) as opened:
        say_all("skipped", opened.skipped)
        prepared = set_up_series(opened, ready, strength)
        warnings = list(prepared.warnings)
        say_all("warning", warnings)
        if prepared.model.noise_kept is not None:
            say(
                f"{100 * prepared.model.noise_kept:.0f}% of the noise stays at strength 1: that of a scan at usual dose"
            )
        with open_sink(opened, output, prepared.provenance) as sink, progress("denoising", len(opened)) as advance:
            through = words.watch(sink, len(opened)) if words else sink
            outcome = pipeline.denoise_series(opened, through, prepared.model, strength, advance, jobs or 1)
            if preview and outcome.before is not None and outcome.after is not None:
                sink.attach("preview.png", pictured(outcome.before, outcome.after, ready.name))
            if words:
                for name, data in words.files(opened.uids).items():
                    sink.attach(name, data)
                warnings += words.warnings
                say_all("warning", words.warnings)
            if manifest:
                content = describe(opened, prepared, outcome, warnings, time.perf_counter() - started)
                sink.attach("manifest.json", json.dumps(content, indent=2).encode())
    say(f"{outcome.slices} slices in {time.perf_counter() - started:.1f} s -> {output}")


def _refuse_with_ray(**given: object) -> None:
    """Raises InvalidSetting naming the first option that is for a single series."""
    from lowdose.errors import InvalidSetting

    for name, value in given.items():
        if value:
            raise InvalidSetting(f"--{name}: is for a single series; leave it out with --ray")


def pictured(before: Slice, after: HU, model: str) -> bytes:
    """PNG of one slice: before, after, difference."""
    from lowdose.hounsfield import SOFT_TISSUE
    from lowdose.report import figures

    return figures.preview(before.hu, after, SOFT_TISSUE, before.aspect, model)
