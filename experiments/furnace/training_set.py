"""Build the training set of the shipped denoisers: real normal-dose slices and digital patients, as one file.

    python -m experiments.furnace.training_set build FILE [FOLDER ...] [--whole-runs]     # minutes
    python -m experiments.furnace.training_set unpack FILE PACK            # seconds, without pydicom

FOLDER: folders of normal-dose CT (``../shared/ct/normal-dose``, ``more`` and ``blocks``). Without one, the set consists
of digital patients only. FILE takes at most 24 MiB; --whole-runs takes all neighbouring slices there are, without that
limit, for a model of three slices. PACK is for 'lowdose train ... --pairing simulated --data PACK'.
The same folders give the same file on every machine. Patients of ``held_out_patients.json`` are left out.
"""

from __future__ import annotations

import argparse
import shutil
from pathlib import Path
from tempfile import TemporaryDirectory

from experiments.furnace.pack_file import read_pack_file, write_pack_file

MOST_BYTES = 24 * 2**20
DIGITAL, DIGITAL_ALONE = 12, 64
"""Digital patients beside real ones, and without any."""


def main() -> None:
    """Build or unpack the training set."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    commands = parser.add_subparsers(dest="command", required=True)
    build_ = commands.add_parser("build")
    build_.add_argument("file", type=Path)
    build_.add_argument("folders", type=Path, nargs="*")
    build_.add_argument("--whole-runs", action="store_true")
    unpack = commands.add_parser("unpack")
    unpack.add_argument("file", type=Path)
    unpack.add_argument("pack", type=Path)
    arguments = parser.parse_args()
    if arguments.command == "build":
        build(arguments.file, arguments.folders, arguments.whole_runs)
    else:
        read_pack_file(arguments.file, arguments.pack)


def build(target: Path, folders: list[Path], whole_runs: bool = False) -> None:
    """Choose the slices, add the digital patients, and write the file."""
    # DICOM is read here only, so that a machine without pydicom can unpack.
    from experiments.furnace.choose_slices import choose_slices, trainable_files
    from experiments.furnace.digital_patients import write_digital_patient
    from lowdose.data.pack_writer import write_pack

    with TemporaryDirectory() as scratch:
        slices, pack = Path(scratch) / "slices", Path(scratch) / "set.pack"
        chosen = choose_slices(trainable_files(folders), whole_runs) if folders else []
        for number, file in enumerate(chosen):
            (slices / file.patient.replace("/", "-")).mkdir(parents=True, exist_ok=True)
            shutil.copy(file.path, slices / file.patient.replace("/", "-") / f"{number:04d}.dcm")
        for number in range(DIGITAL if folders else DIGITAL_ALONE):
            write_digital_patient(number, slices / f"digital-{number:03d}")
        summary = write_pack([slices], pack, "none", "full")
        size = write_pack_file(pack, target)
    for warning in summary.warnings:
        print(f"warning: {warning}")
    print(f"{summary.slices} slices of {summary.patients} patients, {size / 2**20:.1f} MiB")
    if size > MOST_BYTES and not whole_runs:
        raise SystemExit(
            f"{target}: takes {size / 2**20:.1f} MiB, more than {MOST_BYTES / 2**20:.0f}; choose fewer slices"
        )


if __name__ == "__main__":
    main()
