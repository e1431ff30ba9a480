"""``lowdose evaluate``: pairs in, table and page out."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NamedTuple

import typer

from lowdose.cli.cases import open_alone, open_cases, open_given, told, uids
from lowdose.cli.terminal import progress, say

if TYPE_CHECKING:
    from lowdose.evaluation.images import ImageEvaluation
    from lowdose.evaluation.organs import OrganEvaluation
    from lowdose.evaluation.words import WordReading
    from lowdose.language.autoencoder_file import LanguageGuidedAutoencoder
    from lowdose.models.load import LoadedModel

TASKS = ("images", "organs")


class Places(NamedTuple):
    """Where the series lie, as the command line gives them."""

    low: list[Path]
    full: list[Path]
    data: Path | None


def evaluate(
    out: Annotated[Path, typer.Option(help="New folder for table.csv, summary.json and index.html.")],
    low: Annotated[list[Path] | None, typer.Option(help="Low-dose series; may be given several times.")] = None,
    full: Annotated[list[Path] | None, typer.Option(help="Full-dose series, one for each --low.")] = None,
    data: Annotated[
        Path | None, typer.Option(help="Instead: a folder in which pairs of folders are looked for.")
    ] = None,
    task: Annotated[str, typer.Option(help="images: fidelity, noise, HU; organs: Dice of every organ.")] = "images",
    model: Annotated[list[str] | None, typer.Option(help="Model to measure; may be given several times.")] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="For images: metric definitions default, leda, red_cnn, core_diff, ldct_bench."),
    ] = None,
    window: Annotated[
        tuple[float, float] | None, typer.Option(help="For images: other window than the profile's, in HU.")
    ] = None,
    segmenter: Annotated[
        str | None, typer.Option(help="For organs: anatomy, total_segmentator, or a file of 'train anatomy'.")
    ] = None,
    labels: Annotated[
        list[Path] | None,
        typer.Option(help="For organs: NIfTI of TotalSegmentator's numbers as the truth, one for each --full."),
    ] = None,
    words: Annotated[
        bool, typer.Option("--words", help="For images: the words of the slices shown, and where they drifted apart.")
    ] = False,
    autoencoder: Annotated[
        str | None, typer.Option(help="For --words: shipped autoencoder, or a safetensors file.")
    ] = None,
    strength: Annotated[float, typer.Option(help="Blend of every model with the input, 0 to 1.")] = 1.0,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Measure low dose and models against full dose.

    Task images: RMSE, PSNR, SSIM, FSIM, VIF, noise, HU of every tissue. Task organs: what a segmenter finds of every
    organ of what it finds at full dose, or of labels given; a --full with --labels may then go without a --low.
    """
    from lowdose.errors import InvalidSetting
    from lowdose.infer import pipeline

    pipeline.check_strength(strength)
    places = Places(low or [], full or [], data)
    if task == "images":
        refuse(task, "organs", {"--segmenter": segmenter, "--labels": labels})
        guided = guided_by(words, autoencoder, device)
        evaluate_images(out, places, ready_models(model, device), profile or "default", window, strength, guided)
    elif task == "organs":
        refuse(
            task, "images", {"--profile": profile, "--window": window, "--words": words, "--autoencoder": autoencoder}
        )
        evaluate_organs(out, places, model, segmenter, labels or [], strength, device)
    else:
        raise InvalidSetting(f"--task {task}: choose one of {', '.join(TASKS)}")


def guided_by(words: bool, autoencoder: str | None, device: str) -> LanguageGuidedAutoencoder | None:
    """What reads the words, if they are asked for. Raises InvalidSetting for an autoencoder without --words."""
    from lowdose.cli.explain_command import ready_autoencoder
    from lowdose.device import choose_device
    from lowdose.errors import InvalidSetting

    if autoencoder is not None and not words:
        raise InvalidSetting(f"--autoencoder {autoencoder}: of use with --words only; add it, or leave this out")
    return ready_autoencoder(autoencoder, choose_device(device)) if words else None


def refuse(task: str, other: str, options: dict[str, object]) -> None:
    """Raises InvalidSetting for options that belong to the other task."""
    from lowdose.errors import InvalidSetting

    given = [name for name, value in options.items() if value]
    if given:
        raise InvalidSetting(f"{', '.join(given)}: of no use to --task {task}; leave it out, or take --task {other}")


def ready_models(names: list[str] | None, device: str) -> list[LoadedModel]:
    """The models by name, or the shipped default, where they are to run."""
    from lowdose.device import choose_device
    from lowdose.models import checkpoint, load

    where = choose_device(device)
    return [load.load_by_name(name, where) for name in dict.fromkeys(names or [checkpoint.DEFAULT_MODEL])]


def evaluate_images(
    out: Path,
    places: Places,
    ready: list[LoadedModel],
    profile: str,
    window: tuple[float, float] | None,
    strength: float,
    guided: LanguageGuidedAutoencoder | None = None,
) -> None:
    """Fidelity, noise and HU of every version of every slice."""
    from lowdose.errors import InvalidSetting
    from lowdose.evaluation import images
    from lowdose.hounsfield import Window
    from lowdose.io.atomic import new_folder
    from lowdose.metrics import profiles
    from lowdose.report import page
    from lowdose.report import words as words_report

    if profile not in profiles.PROFILES:
        raise InvalidSetting(f"--profile {profile}: choose one of {', '.join(profiles.PROFILES)}")
    chosen = profiles.PROFILES[profile]
    if window is not None:
        chosen = chosen.with_window(Window(*window))
    with ExitStack() as stack, new_folder(out) as folder:
        cases = open_cases(stack, *places)
        count = sum(len(case.pairs) for case in cases)
        with progress("measuring", count) as advance:
            result = images.evaluate_images(cases, ready, chosen, strength, advance)
        readings = read_words(guided, result) if guided else []
        found = [f"{reading.case}, {line}" for reading in readings for line in words_report.drift_warnings(reading)]
        result.warnings = told(cases, [*result.warnings, *found])
        write(folder, page.table_csv(result), page.as_json(result, uids(cases)), page.page(result, readings))
        if guided:
            entries = [words_report.word_entry(reading) for reading in readings]
            (folder / "words.json").write_text(words_report.words_json(guided, entries, found), encoding="utf-8")
    for image in result.images[:-1]:
        means = {metric: result.summary(metric, image) for metric in page.FIDELITY}
        say("  ".join([f"{image:>16}", *(f"{name} {found.mean:.4g}" for name, found in means.items() if found)]))
    for reading in readings:
        say_words(reading)
    say(f"{count} slices, {len(cases)} series; profile {chosen.name}, {chosen.window}\n{out / 'index.html'}")


def read_words(guided: LanguageGuidedAutoencoder, result: ImageEvaluation) -> list[WordReading]:
    """The words of the slice shown of each series, in every version."""
    from lowdose.evaluation import words

    made = result.images[1:-1]
    return [words.read_words(guided, sample.images, words.SliceLocation.of(sample), made) for sample in result.samples]


def say_words(reading: WordReading) -> None:
    """The words of every version of one slice."""
    from lowdose.cli.explain_command import lines

    say(f"the words of {reading.case}:")
    for line in lines({name: [said] for name, said in reading.words.items()}):
        say(line)


def evaluate_organs(
    out: Path,
    places: Places,
    model: list[str] | None,
    segmenter: str | None,
    labels: list[Path],
    strength: float,
    device: str,
) -> None:
    """Dice, volume and HU of every organ of every version of every series."""
    from lowdose.device import choose_device
    from lowdose.errors import InvalidSetting
    from lowdose.evaluation import organs, segmenters, total_segmentator
    from lowdose.io.atomic import new_folder
    from lowdose.report import organs as report

    alone = bool(labels and places.full) and not (places.low or places.data)
    if alone and model:
        raise InvalidSetting("--model without --low: models are measured on low-dose series; give one for each --full")
    artist = segmenters.load_segmenter(segmenter or segmenters.ANATOMY, choose_device(device))
    if segmenter == segmenters.TOTAL_SEGMENTATOR:
        say(f"note: {total_segmentator.USAGE_STATISTICS_NOTE}")
    ready = [] if alone else ready_models(model, device)
    with ExitStack() as stack, new_folder(out) as folder:
        cases = open_alone(stack, places.full) if alone else open_cases(stack, *places)
        given = open_given(stack, labels, len(cases), places.data)
        count = sum(len(case.pairs) for case in cases)
        with progress("drawing organs", count * (1 if alone else 2 + len(ready))) as advance:
            result = organs.evaluate_organs(cases, ready, artist, strength, advance, given)
        result.warnings = told(cases, result.warnings)
        write(folder, report.table_csv(result), report.as_json(result, uids(cases)), report.page(result))
    for line in summary_lines(result):
        say(line)
    say(f"{count} slices, {len(cases)} series; reference: {report.reference(result)}\n{out / 'index.html'}")


def summary_lines(result: OrganEvaluation) -> list[str]:
    """Mean Dice of each image, its change, and the organs that gained and lost most."""
    lines = []
    for image in result.images:
        found, change = result.dice(image, None), result.change(image, None)
        if found is None:
            continue
        words = [f"{image:>16}  Dice {found.mean:.3f}"]
        if image in result.models and change is not None:
            moves = {organ: result.change(image, organ) for organ in result.judged()}
            order = sorted((move.mean, organ) for organ, move in moves.items() if move is not None)
            ends = [order[0], order[-1]] if len(order) > 1 else order
            words += [f"{change.mean:+.3f} to low dose", *(f"{organ} {value:+.3f}" for value, organ in ends)]
        lines.append("  ".join(words))
    return lines or ["no organ could be judged: neither the images nor the reference hold one"]


def write(folder: Path, table: str, summary: str, page: str) -> None:
    """table.csv, summary.json and index.html into ``folder``."""
    for name, text in (("table.csv", table), ("summary.json", summary), ("index.html", page)):
        (folder / name).write_text(text, encoding="utf-8")
