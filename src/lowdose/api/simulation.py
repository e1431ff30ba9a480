"""Simulate low dose from normal dose, and scans of phantoms: the functions behind ``lowdose simulate``."""

from __future__ import annotations

import logging
from os import PathLike
from pathlib import Path

from lowdose.api.checks import check_numbers, check_whole_numbers, path_of
from lowdose.api.messages import Progress, counting_on, no_progress
from lowdose.api.reading import Input, Spacing, check_given, open_input, stated_sizes
from lowdose.api.saving import MemorySink, sink_for
from lowdose.api.simulated_series import SimulatedSeries
from lowdose.device import choose_device
from lowdose.errors import InvalidSetting
from lowdose.io.open_series import check_output
from lowdose.io.orientation import not_axial
from lowdose.io.provenance import simulation_provenance
from lowdose.io.source import Rescale, Source
from lowdose.io.write_volume import refuse_taken
from lowdose.logger import log, log_lines
from lowdose.physics.kernels import parse_kernel
from lowdose.physics.photon_counts import check_dose
from lowdose.physics.scanner import FITTED_SCANNERS, Scanner
from lowdose.simulation.calibrated_stacks import calibrated_stacks
from lowdose.simulation.calibration import Calibration, check_mas, describe_scan, starved_rays_warning
from lowdose.simulation.phantoms import PHANTOMS, ScanSettings, scan_phantom
from lowdose.simulation.series import neighbour_weights, simulate_series
from lowdose.version import __version__

PHANTOM_MAS = 200.0


def simulate_dose(
    source: Input,
    out: str | PathLike[str] | None = None,
    *,
    dose: float,
    seed: int = 0,
    kernel: str = "auto",
    mas: float | None = None,
    z_correlation: float = 0.0,
    series: str | None = None,
    spacing: Spacing | None = None,
    pixel: float | None = None,
    thickness: float | None = None,
    rescale: Rescale | None = None,
    device: str = "auto",
    progress: Progress = no_progress,
) -> SimulatedSeries:
    """Make the scan that a fraction of the dose would have given.

    Parameters
    ----------
    source : str, Path, Volume or numpy.ndarray
        A series of normal dose, see `read`.
    out : str or Path, optional
        Where to write the result; left out, it stays in memory.
    dose : float
        Fraction of the input's dose, above 0, at most 1.
    seed : int
        Another seed is other noise.
    kernel : str
        "auto", "b30" (soft), "d45" (sharp), "hann=CUTOFF" (1/mm), "shepp-logan" or "ramp".
    mas : float, optional
        Effective mAs of the input, if not the header's.
    z_correlation : float
        Correlation of the noise of neighbouring slices, 0 to 0.7.
    series, spacing, pixel, thickness, rescale
        See `read`.
    device : {"auto", "cpu", "cuda"}
        Where projections are computed.
    progress : callable
        Called with (slices done, slices).

    Returns
    -------
    SimulatedSeries
        Has the ``volume``, can be saved, shown in a notebook, and turned into a dict.

    Raises
    ------
    InvalidSetting
        For numbers out of range.
    NotCT
        When too little is stated and the noise of the input cannot be measured.
    LowDoseError
        Any other of `lowdose.errors`.

    References
    ----------
    Yu et al., J. Comput. Assist. Tomogr. 36:477, 2012.

    Examples
    --------
    >>> import lowdose
    >>> lowdose.simulate_dose("SERIES", dose=0.25, seed=7).save("QUARTER")  # doctest: +SKIP
    """
    check_numbers(dose=dose, mas=mas, z_correlation=z_correlation)
    check_whole_numbers(seed=seed)
    check_dose(dose)
    _check_seed(seed)
    neighbour_weights(z_correlation)
    chosen = None if kernel == "auto" else parse_kernel(kernel)
    sizes = stated_sizes(pixel, thickness)
    check_given(source, series, spacing)
    target = None if out is None else path_of(out, "out")
    if target is not None:
        refuse_taken(target)
    where = str(choose_device(device))
    with open_input(source, series, spacing, sizes, rescale) as opened:
        if target is not None:
            check_output(opened, target)
        stacks = calibrated_stacks(opened, chosen, mas, where)
        limits = tuple(dict.fromkeys(text for _, calibration in stacks for text in calibration.warnings))
        doubts = dict.fromkeys(text for part, calibration in stacks for text in _doubts(part, calibration, dose))
        scanner_model = " ".join(dict.fromkeys(calibration.how for _, calibration in stacks))
        warnings = (*opened.warnings, *limits, *doubts)
        log_lines(logging.INFO, opened.skipped, "skipped: ")
        log_lines(logging.WARNING, warnings)
        log.info("%s", scanner_model)
        how = scanner_model + (f" Correlation along z {z_correlation:g}." if z_correlation else "")
        provenance = simulation_provenance(__version__, dose, seed, how, limits)
        count = len(opened)
        with sink_for(opened, target, provenance) as sink:
            finished = 0
            for part, calibration in stacks:
                simulate_series(
                    part, sink, calibration, dose=dose, seed=seed, z_correlation=z_correlation,
                    progress=counting_on(progress, finished, count),
                )  # fmt: skip
                finished += len(part)
            kept = sink.series(source, series, provenance) if isinstance(sink, MemorySink) else None
    if kept is not None and target is not None:
        kept.save(target, {})
    settings = {"dose": dose, "seed": seed, "z_correlation": z_correlation, "scanner": scanner_model}
    return SimulatedSeries(count, settings, warnings, target, kept)


def simulate_phantom(
    phantom: str,
    out: str | PathLike[str],
    *,
    dose: float,
    seed: int = 0,
    kernel: str = "auto",
    mas: float | None = None,
    slices: int = 8,
    device: str = "auto",
    scanner: Scanner | None = None,
    progress: Progress = no_progress,
) -> Path:
    """Scan a phantom at full dose and at a fraction of it into DICOM, beside its truth.

    Parameters
    ----------
    phantom : str
        "abdomen", "chest", "pelvis", "neck", "trunk" (a digital patient), "water", "contrast", "low_contrast",
        "line_pairs" or "acr_1" to "acr_4".
    out : str or Path
        New folder for full/, low/, truth/, truth.json and, of a digital patient, labels.nii.gz.
    dose, seed, kernel, device, progress
        See `simulate_dose`; another seed is another person.
    mas : float, optional
        Effective mAs of the full dose, 200 if left out.
    slices : int
        Slices of the phantom.
    scanner : Scanner, optional
        Another scanner than the one fitted to soft kernels.

    Returns
    -------
    Path
        ``out``.

    Raises
    ------
    InvalidSetting
        For an unknown phantom and numbers out of range.
    OutputRefused
        When the folder exists or cannot be written.

    Examples
    --------
    >>> import lowdose
    >>> lowdose.simulate_phantom("abdomen", "PHANTOM", dose=0.25)  # doctest: +SKIP
    """
    check_numbers(dose=dose, mas=mas)
    check_whole_numbers(seed=seed, slices=slices)
    check_dose(dose)
    _check_seed(seed)
    if mas is not None:
        check_mas(mas)
    if phantom not in PHANTOMS:
        raise InvalidSetting(f"phantom '{phantom}': must be one of {', '.join(PHANTOMS)}")
    soft, fitted = FITTED_SCANNERS["B30"]
    chosen = soft if kernel == "auto" else parse_kernel(kernel)
    settings = ScanSettings(
        scanner or fitted, chosen, PHANTOM_MAS if mas is None else mas, dose, seed, str(choose_device(device))
    )
    scan_phantom(phantom, path_of(out, "out"), slices, settings, lambda done: progress(done, slices))
    log.info("phantom %s at %g mAs and at %.3g%% of it -> %s", phantom, settings.mas, 100 * dose, out)
    return Path(out)


def _doubts(source: Source, calibration: Calibration, dose: float) -> list[str]:
    """Return warnings of a scan that no scanner makes, and of a dose at which next to nothing is left of the image."""
    return [
        *not_axial(source.planes, "the simulated gantry turns in the plane of the slices, which no scanner does"),
        *starved_rays_warning(describe_scan(source), calibration, dose),
    ]


def _check_seed(seed: int) -> None:
    if seed < 0:
        raise InvalidSetting(f"seed {seed}: must not be negative")
