"""``lowdose denoise``: a series in, a derived series out."""

from __future__ import annotations

import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lowdose
from lowdose.cli.explain import MOST_SLICES
from lowdose.cli.terminal import progress, say, say_all

if TYPE_CHECKING:
    from lowdose.infer.domain import Measured
    from lowdose.infer.models import ReadyModel
    from lowdose.infer.pipeline import Outcome
    from lowdose.io.source import Source
    from lowdose.volume import HU, Slice


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
    """Denoise one CT series. Originals are never touched; a failed run leaves nothing behind."""
    from lowdose import checkpoint
    from lowdose.cli.explaining import explaining
    from lowdose.device import choose_device
    from lowdose.infer import domain, dose, models, pipeline
    from lowdose.io.open import open_sink, open_source
    from lowdose.io.provenance import denoised

    started = time.perf_counter()
    pipeline.check_strength(strength)
    ready = models.find(model or checkpoint.DEFAULT_MODEL, choose_device(device))
    words = explaining(explain, autoencoder, explain_slices, ready)
    say(f"model {ready.name}{'' if model else ' (the shipped default)'} on {ready.device}, strength {strength:g}")
    with open_source(source, series) as opened:
        say_all("skipped", opened.skipped)
        measured = domain.measure(opened)
        unlike = domain.outside(measured, ready.domain) if ready.domain else []
        warnings = [*opened.warnings, *unlike]
        say_all("warning", warnings)
        ready = dose.for_series(ready, measured)
        if ready.keeps is not None:
            say(f"{100 * ready.keeps:.0f}% of the noise stays at strength 1: that of a scan at usual dose")
        provenance = denoised(lowdose.__version__, ready.name, ready.sha256, strength, tuple(unlike), ready.keeps)
        with open_sink(opened, output, provenance) as sink, progress("denoising", len(opened)) as advance:
            through = words.watch(sink, len(opened)) if words else sink
            outcome = pipeline.denoise_series(opened, through, ready, strength, advance)
            if preview and outcome.before is not None and outcome.after is not None:
                sink.attach("preview.png", pictured(outcome.before, outcome.after, ready.name))
            if words:
                for name, data in words.files(opened.uids).items():
                    sink.attach(name, data)
                warnings += words.warnings
                say_all("warning", words.warnings)
            if manifest:
                seconds = time.perf_counter() - started
                content = describe(opened, ready, strength, measured, warnings, outcome, seconds)
                sink.attach("manifest.json", json.dumps(content, indent=2).encode())
    say(f"{outcome.slices} slices in {time.perf_counter() - started:.1f} s -> {output}")


def pictured(before: Slice, after: HU, model: str) -> bytes:
    """PNG of one slice: before, after, difference."""
    from lowdose.hounsfield import SOFT_TISSUE
    from lowdose.report import figures

    return figures.preview(before.hu, after, SOFT_TISSUE, before.aspect, model)


def describe(
    source: Source,
    model: ReadyModel,
    strength: float,
    measured: Measured,
    warnings: list[str],
    outcome: Outcome,
    seconds: float,
) -> dict[str, Any]:
    """The run manifest: what was done to what, with what, and how long it took. No names, no dates, no paths."""
    packages = ("torch", "numpy", "pydicom")
    return {
        "lowdose": lowdose.__version__,
        "versions": {"python": platform.python_version(), **{name: version(name) for name in packages}},
        "model": {"name": model.name, "sha256": model.sha256},
        "strength": strength,
        "noise_kept": model.keeps,
        "device": str(model.device),
        "input": source.uids,
        "slices": outcome.slices,
        "skipped_files": len(source.skipped),
        "measured": measured.to_dict(),
        "seconds": {**{step: round(spent, 3) for step, spent in outcome.seconds.items()}, "total": round(seconds, 3)},
        "warnings": warnings,
        "use": "research use only, not a medical device",
    }
