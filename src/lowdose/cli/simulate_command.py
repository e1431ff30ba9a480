"""``lowdose simulate``: low dose from normal dose, or a phantom scanned at both."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lowdose.cli.rescale import RescaleOption, parse_rescale
from lowdose.cli.terminal import Pixel, Thickness, output_of, progress, refuse_given, say
from lowdose.errors import InvalidSetting
from lowdose.io.messages import counted

USAGE = "simulate INPUT --dose 0.25 --out OUTPUT, or simulate --phantom abdomen --dose 0.25 --out OUTPUT"


def simulate(
    dose: Annotated[float, typer.Option(help="Fraction of the input's dose, 0.001 to 1.")],
    places: Annotated[
        list[Path] | None, typer.Argument(metavar="INPUT", help="The series to simulate from; none with --phantom.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", "-o", help="New folder or file. Required.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed of the noise and, with --phantom, of the patient.")] = 0,
    kernel: Annotated[
        str, typer.Option(help="auto, b30 (soft), d45 (sharp), hann=CUTOFF (1/mm), shepp-logan or ramp.")
    ] = "auto",
    mas: Annotated[
        float | None, typer.Option(help="Effective mAs of the input; if left out, as the header says.")
    ] = None,
    z_correlation: Annotated[
        float | None, typer.Option(help="Correlation of the noise between neighbouring slices, 0 (the default) to 0.7.")
    ] = None,
    series: Annotated[
        str | None, typer.Option(help="SeriesInstanceUID, or its end, if the input contains several series.")
    ] = None,
    pixel: Pixel = None,
    thickness: Thickness = None,
    rescale: RescaleOption = None,
    phantom: Annotated[
        str | None,
        typer.Option(
            help="Scan this instead of INPUT: abdomen, chest, pelvis, neck, trunk (a digital patient), water, "
            "contrast, low_contrast, line_pairs or acr_1 to acr_4."
        ),
    ] = None,
    slices: Annotated[int | None, typer.Option(help="Slices of the phantom, 8 if left out.")] = None,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Simulate a scan at a fraction of its dose, or scan a phantom at both doses. The input is never changed."""
    from lowdose import api
    from lowdose.physics.photon_counts import check_dose

    check_dose(dose)
    given, wanted = list(places or []), 1 if phantom is None else 0
    if not wanted <= len(given) <= wanted + 1 or (out is None and len(given) == wanted):
        raise InvalidSetting(f"{counted(len(given), 'place')} given: {USAGE}")
    target = output_of(out, given.pop() if len(given) > wanted else None)
    if phantom is not None:
        refuse_given(
            "is for a series; leave it out with --phantom", series=series, z_correlation=z_correlation, pixel=pixel,
            thickness=thickness,
        )  # fmt: skip
        with progress("scanning") as advance:
            api.simulate_phantom(
                phantom, target, dose=dose, seed=seed, kernel=kernel, mas=mas, slices=8 if slices is None else slices,
                device=device, progress=advance,
            )  # fmt: skip
        return
    refuse_given("is for --phantom; leave it out", slices=slices)
    with progress("simulating") as advance:
        result = api.simulate_dose(
            given[0], target, dose=dose, seed=seed, kernel=kernel, mas=mas, z_correlation=z_correlation or 0.0,
            series=series, pixel=pixel, thickness=thickness, rescale=parse_rescale(rescale), device=device,
            progress=advance,
        )  # fmt: skip
    say(f"{counted(result.slices, 'slice')} at {100 * dose:.3g}% of the dose -> {target}")
