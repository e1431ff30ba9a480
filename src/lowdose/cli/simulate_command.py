"""``lowdose simulate``: low dose from normal dose, or a phantom scanned at both."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lowdose.cli.terminal import progress, say, say_all

if TYPE_CHECKING:
    from lowdose.io.source import Source
    from lowdose.simulation.calibration import Calibration

USAGE = "simulate INPUT OUTPUT --dose 0.25, or simulate --phantom abdomen OUTPUT --dose 0.25"


def simulate(
    places: Annotated[list[Path], typer.Argument(metavar="[INPUT] OUTPUT", help="INPUT is left out with --phantom.")],
    dose: Annotated[float, typer.Option(help="Fraction of the input's dose, above 0, at most 1.")],
    seed: Annotated[int, typer.Option(help="Another seed is other noise, and another person.")] = 0,
    kernel: Annotated[
        str, typer.Option(help="auto, b30 (soft), d45 (sharp), hann=CUTOFF (1/mm), shepp-logan or ramp.")
    ] = "auto",
    mas: Annotated[float | None, typer.Option(help="Effective mAs of the full dose, if not the header's.")] = None,
    z_correlation: Annotated[float, typer.Option(help="Of the noise of neighbouring slices, 0 to 0.7.")] = 0.0,
    series: Annotated[str | None, typer.Option(help="SeriesInstanceUID, or its end, where there are several.")] = None,
    phantom: Annotated[
        str | None,
        typer.Option(
            help="abdomen, chest, pelvis, neck, trunk (a digital patient), water, contrast, low_contrast, "
            "line_pairs or acr_1 to acr_4."
        ),
    ] = None,
    slices: Annotated[int, typer.Option(help="Slices of the phantom.")] = 8,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Make the scan that a fraction of the dose would have given. The input is never touched."""
    from lowdose.device import choose_device
    from lowdose.errors import InvalidSetting
    from lowdose.io.open_series import open_source
    from lowdose.physics.kernels import parse_kernel
    from lowdose.physics.photon_counts import check_dose
    from lowdose.physics.scanner import FITTED
    from lowdose.simulation.calibration import calibrate, describe_scan
    from lowdose.simulation.phantoms import ScanSettings, scan_phantom

    check_dose(dose)
    if len(places) != (2 if phantom is None else 1):
        raise InvalidSetting(f"{len(places)} place(s) given: {USAGE}")
    if seed < 0:
        raise InvalidSetting(f"seed {seed}: must not be negative")
    chosen, machine = None if kernel == "auto" else parse_kernel(kernel), str(choose_device(device))
    if phantom is None:
        with open_source(places[0], series) as opened:
            _series(
                opened, places[1], calibrate(describe_scan(opened), chosen, mas, machine), dose, seed, z_correlation
            )
        return
    soft, scanner = FITTED["B30"]
    scanning = ScanSettings(scanner, chosen or soft, 200.0 if mas is None else mas, dose, seed, machine)
    with progress("scanning", slices) as advance:
        scan_phantom(phantom, places[0], slices, scanning, advance)
    say(f"phantom {phantom} at {scanning.mas:g} mAs and at {100 * dose:.3g}% of it -> {places[0]}")


def _series(
    source: Source, output: Path, calibration: Calibration, dose: float, seed: int, z_correlation: float
) -> None:
    import lowdose
    from lowdose.io.open_series import open_sink
    from lowdose.io.provenance import simulation_provenance
    from lowdose.simulation.series import neighbour_weights, simulate_series

    neighbour_weights(z_correlation)  # refused before any work
    say_all("skipped", source.skipped)
    say_all("warning", [*source.warnings, *calibration.warnings])
    say(calibration.how)
    how = calibration.how + (f" Correlation along z {z_correlation:g}." if z_correlation else "")
    provenance = simulation_provenance(lowdose.__version__, dose, seed, how, calibration.warnings)
    with open_sink(source, output, provenance) as sink, progress("simulating", len(source)) as advance:
        simulate_series(source, sink, calibration, dose=dose, seed=seed, z_correlation=z_correlation, progress=advance)
    say(f"{len(source)} slices at {100 * dose:.3g}% of the dose -> {output}")
