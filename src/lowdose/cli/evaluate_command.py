"""``lowdose evaluate``: pairs in, table and page out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowdose.cli.terminal import NetworkFile, Pixel, Thickness, WordVocabulary, progress, say
from lowdose.io.messages import counted

if TYPE_CHECKING:
    from lowdose.api import EvaluationReport
    from lowdose.evaluation.images import ImageEvaluation
    from lowdose.evaluation.lesion_table import LesionEvaluation
    from lowdose.evaluation.organs import OrganEvaluation
    from lowdose.evaluation.teacher import TeacherReport


def evaluate(
    out: Annotated[Path, typer.Option("--out", "-o", help="New folder for table.csv, summary.json and index.html.")],
    low: Annotated[list[Path] | None, typer.Option(help="Low-dose series; may be given several times.")] = None,
    full: Annotated[list[Path] | None, typer.Option(help="Full-dose series, one for each --low.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Instead of --low and --full: a folder that is searched for pairs of folders.")
    ] = None,
    task: Annotated[
        str,
        typer.Option(help="What is measured, see above: images, organs, lesions or teacher."),
    ] = "images",
    model: Annotated[list[str] | None, typer.Option(help="Model to measure; may be given several times.")] = None,
    network_file: NetworkFile = None,
    profile: Annotated[
        str | None,
        typer.Option(help="For images: whose definitions of metrics: default, leda, red_cnn, core_diff, ldct_bench."),
    ] = None,
    window: Annotated[
        tuple[float, float] | None, typer.Option(help="For images: window in HU, instead of the profile's.")
    ] = None,
    segmenter: Annotated[
        str | None, typer.Option(help="For organs: anatomy, total_segmentator, or a file of 'train anatomy'.")
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(help="For organs: NIfTI with TotalSegmentator's label numbers as the truth, one for each --full."),
    ] = None,
    detector: Annotated[
        Path | None, typer.Option(help="For lesions: run folder of 'train lidnet', or its detector.safetensors.")
    ] = None,
    findings: Annotated[
        Path | None,
        typer.Option(help="For lesions: file or folder of annotated findings, instead of inserted lesions."),
    ] = None,
    lesions: Annotated[
        int | None, typer.Option(help="For lesions: how often lesions are inserted into each slice, 1 if left out.")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="For lesions: random seed of the inserted ones, 0 if left out.")
    ] = None,
    words: Annotated[
        bool,
        typer.Option(
            "--words", help="For images: describe the slices shown in words, too, and list regions that differ."
        ),
    ] = False,
    autoencoder: Annotated[
        str | None, typer.Option(help="For --words and teacher: shipped autoencoder, or a safetensors file.")
    ] = None,
    vocabulary: WordVocabulary = None,
    strength: Annotated[float, typer.Option(help="Fraction of each model's output in the result, 0 to 1.")] = 1.0,
    dose: Annotated[
        float | None, typer.Option(help="Dose of --low as a fraction of its usual dose; estimated if left out.")
    ] = None,
    noise_sd: Annotated[
        float | None,
        typer.Option(metavar="HU", help="SD of the noise that is to remain, instead of --dose and --texture."),
    ] = None,
    texture: Annotated[
        str | None, typer.Option(help="How much noise remains: smooth, balanced (the default) or natural.")
    ] = None,
    pixel: Pixel = None,
    thickness: Thickness = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Compare low dose, and what models make of it, with full dose.

    Task images: RMSE, PSNR, SSIM, FSIM, VIF, noise, and the HU of every tissue.

    Task organs: Dice and HD95 of organs as a segmenter finds them, against those that it finds at full dose, or against
    --labels; with these, --full may be given without --low.

    Task lesions: how well a detector finds lesions, and how these look; they are inserted into both doses, or annotated
    (--findings).

    Task teacher: whether an autoencoder sees the texture of noise, and whether its words are right; needs --full alone.
    """
    from lowdose import api

    with progress("segmenting organs" if task == "organs" else "measuring") as advance:
        report = api.evaluate(
            low or None, full or None, out=out, data=data, task=task, model=model or None,
            network_file=network_file, profile=profile,
            window=window, segmenter=segmenter, labels=labels or None, detector=detector,
            findings=findings, lesions=lesions, seed=seed, words=words, autoencoder=autoencoder,
            vocabulary=vocabulary,
            strength=strength, dose=dose, noise_sd=noise_sd, texture=texture, pixel=pixel,
            thickness=thickness, device=device, progress=advance,
        )  # fmt: skip
    for line in summary_lines(report):
        say(line)
    say(str(out / next(name for name in ("index.html", "teacher.json") if name in report.files)))


def summary_lines(report: EvaluationReport) -> list[str]:
    """List the means of each image, and what was measured."""
    from lowdose.evaluation.images import ImageEvaluation
    from lowdose.evaluation.lesion_table import LesionEvaluation
    from lowdose.evaluation.teacher import TeacherReport

    counts = f"{counted(report.slices, 'slice')}, {report.series} series"
    if isinstance(report.result, TeacherReport):
        return [*_teacher_lines(report.result), counts]
    if isinstance(report.result, ImageEvaluation):
        profile = report.result.profile
        return [*_image_lines(report, report.result), f"{counts}; profile {profile.name}, {profile.window}"]
    if isinstance(report.result, LesionEvaluation):
        from lowdose.report.lesion_tables import counts as lesion_counts

        return [*_lesion_lines(report.result), lesion_counts(report.result)]
    from lowdose.report.organs import reference

    return [*_organ_lines(report.result), f"{counts}; reference: {reference(report.result)}"]


def _teacher_lines(result: TeacherReport) -> list[str]:
    """List what a teacher sees, and how right its words are."""
    levels = ", ".join(f"{made:.1f} for {seen:.1f}" for seen, made in result.high_pass_sd)
    lines = [
        f"  B (1 is sight, 0 is blindness): latents {result.systematic_share:.2f}, tokens "
        f"{result.token_systematic_share:.2f}",
        f"  D (below 1: prefers texture): latents {result.noise_distance_ratio:.2f}, tokens "
        f"{result.token_noise_distance_ratio:.2f}",
        f"  texture's share of the variance {result.texture_axis_share:.2f}; effect of noise elsewhere "
        f"{result.locality:.3f}, tokens {result.token_locality:.3f}",
        f"  high-pass SD of reconstructions: {levels} HU",
        f"  reconstruction {result.psnr:.2f} dB",
    ]
    for layer, words in enumerate(result.words, start=1):
        lines.append(
            f"  words of layer {layer}: {words.right:.0%} right, {words.shuffled:.0%} at other places, "
            f"{words.distinct} different ones"
        )
    return [*lines, *result.warnings()]


def _image_lines(report: EvaluationReport, result: ImageEvaluation) -> list[str]:
    from lowdose.api.explanation import frequent_words
    from lowdose.language.explanation import NO_WORD

    lines = []
    for row in report.table():
        means = [f"{name} {value:.4g}" for name, value in row.items() if name != "image"]
        lines.append("  ".join([f"{row['image']:>16}", *means]))
    for reading in report.readings:
        said = frequent_words({name: [words] for name, words in reading.words.items()})
        shown = any(NO_WORD not in line for line in said)
        lines += [f"the words of {reading.case}:", *said] if shown else [f"{reading.case}: no word is certain here"]
    return lines


def _lesion_lines(result: LesionEvaluation) -> list[str]:
    """List how well the lesions of each image are found, and what is kept of their contrast."""
    lines = []
    for image in result.images:
        kept = result.summary(image, "contrast_kept")
        parts = [f"{image:>16}"]
        if result.figures is not None:
            values, change = result.figures.values[image], result.figures.changes[image]["ap50"]
            parts.append(f"AP-50 {values['ap50'].value:.3f}  AP-75 {values['ap75'].value:.3f}")
            parts += [f"{change.value:+.3f} to low dose"] if image in result.models else []
        parts += [f"contrast kept {kept.mean:.3f}"] if kept is not None else []
        lines.append("  ".join(parts))
    return lines


def _organ_lines(result: OrganEvaluation) -> list[str]:
    """List the mean Dice and HD95 of each image, their changes, and the organs whose Dice gained and lost most."""
    lines = []
    for image in result.images:
        dice, change = result.summary(image, None), result.change(image, None)
        if dice is None:
            continue
        parts = [f"{image:>16}  Dice {dice.mean:.3f}"]
        if image in result.models and change is not None:
            changes = {organ: result.change(image, organ) for organ in result.organs_compared()}
            order = sorted((value.mean, organ) for organ, value in changes.items() if value is not None)
            ends = [order[0], order[-1]] if len(order) > 1 else order
            parts += [f"{change.mean:+.3f} to low dose", *(f"{organ} {value:+.3f}" for value, organ in ends)]
        lines.append("  ".join([*parts, *_distance(result, image)]))
    return lines or ["no organ was compared: neither the images nor the reference contain one"]


def _distance(result: OrganEvaluation, image: str) -> list[str]:
    """Return the mean HD95 of an image and its change, if they were measured."""
    distance, change = (measure(image, None, what="hd95_mm") for measure in (result.summary, result.change))
    parts = [] if distance is None else [f"HD95 {distance.mean:.2f} mm"]
    return [*parts, f"{change.mean:+.2f} to low dose"] if change is not None and image in result.models else parts
