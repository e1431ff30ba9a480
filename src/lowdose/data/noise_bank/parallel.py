"""Building of a noise bank by several processes of one machine, one for each core."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from lowdose.data.noise_bank.build import Calibrate, build_noise_bank
from lowdose.data.normal_dose import NormalDoseSlice
from lowdose.data.processes import Advance, in_processes


def build_with_processes(
    folder: Path,
    slices: Sequence[NormalDoseSlice],
    calibrate: Calibrate,
    share: tuple[int, int],
    advance: Advance,
    processes: int,
) -> None:
    """Build the share of a bank that ``build_noise_bank`` would build, with ``processes`` processes of one thread each.

    Drawing photons takes one core however many there are, so one process for each core is faster than one process with
    all of them. The images are the same to the last bit. What a process could not build is still missing afterwards;
    the caller calls ``build_noise_bank`` once more, which builds it or raises the error. The simulators that
    ``calibrate`` returns must compute on the CPU.
    """
    processes = min(processes, len(slices))
    if processes <= 1:
        build_noise_bank(folder, slices, calibrate, share, advance)
        return

    def work(number: int, report: Advance) -> None:
        part = (share[0] * processes + number, share[1] * processes)
        build_noise_bank(folder, slices, calibrate, part, report)

    in_processes(processes, work, advance)
