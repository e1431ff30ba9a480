"""Long training in the background: a queue of jobs that goes on where it was stopped.

    python -m experiments.furnace run [--ct FOLDER]     # until stopped; 'make furnace' starts it in the background
    python -m experiments.furnace status
    python -m experiments.furnace pause [--process PID] | resume | stop
    python -m experiments.furnace restart JOB           # after its recipe changed; begins anew
    python -m experiments.furnace export JOB FILE | import JOB FILE
    python -m experiments.furnace ship JOB

State lies in $LOWDOSE_FURNACE, by default below the user's cache.
"""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from pathlib import Path

from experiments.furnace import ship, transfer
from experiments.furnace.jobs import JOBS, BadJobs, find_job, load_jobs
from experiments.furnace.runner import Runner, prepare, restart
from experiments.furnace.state import Busy, Furnace, locked
from experiments.furnace.status import status_text


def main() -> None:
    """Run one command."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=Path, default=JOBS, help="the list of jobs")
    commands = parser.add_subparsers(dest="command", required=True)
    run = commands.add_parser("run")
    run.add_argument("--ct", type=Path, help="folder with normal-dose, more, blocks and pairs; else digital patients")
    for name in ("status", "resume", "stop"):
        commands.add_parser(name)
    pause = commands.add_parser("pause")
    pause.add_argument("--process", type=int, help="until this process has ended; else until 'resume'")
    for name in ("restart", "ship", "export", "import"):
        command = commands.add_parser(name)
        command.add_argument("job")
        if name in ("export", "import"):
            command.add_argument("file", type=Path)
    try:
        _execute(parser.parse_args())
    except (BadJobs, Busy, ship.NotBetter, transfer.CannotTransfer) as error:
        sys.exit(str(error))


def _execute(arguments: argparse.Namespace) -> None:
    furnace = Furnace()
    match arguments.command:
        case "run":
            _run(furnace, arguments.jobs, arguments.ct)
        case "status":
            print(status_text(furnace, load_jobs(arguments.jobs)))
        case "pause":
            furnace.pause_file.write_text(f"{arguments.process or 'until resumed'}\n")
        case "resume":
            furnace.pause_file.unlink(missing_ok=True)
        case "stop":
            _stop(furnace)
        case "restart":
            with locked(furnace.job(arguments.job).folder / "lock", f"job '{arguments.job}'"):
                print(restart(furnace, find_job(load_jobs(arguments.jobs), arguments.job)))
        case "ship":
            print(ship.ship(furnace, find_job(load_jobs(arguments.jobs), arguments.job)))
        case "export":
            print(transfer.export_job(furnace, find_job(load_jobs(arguments.jobs), arguments.job), arguments.file))
        case "import":
            print(transfer.import_job(furnace, find_job(load_jobs(arguments.jobs), arguments.job), arguments.file))


def _run(furnace: Furnace, jobs: Path, ct: Path | None) -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%d %b %H:%M:%S",
        handlers=[logging.FileHandler(furnace.log), logging.StreamHandler()],
    )  # fmt: skip
    with locked(furnace.folder / "lock", "the furnace"):
        os.nice(max(0, 19 - os.nice(0)))
        prepare(furnace, load_jobs(jobs), ct)
        runner = Runner(furnace, lambda: load_jobs(jobs))

        def end(*_: object) -> None:
            runner.stopping = True

        signal.signal(signal.SIGTERM, end)
        signal.signal(signal.SIGINT, end)
        runner.run()


def _stop(furnace: Furnace) -> None:
    try:
        with locked(furnace.folder / "lock", "the furnace"):
            print("the furnace does not run")
    except Busy:
        os.kill(int((furnace.folder / "lock").read_text()), signal.SIGTERM)
        print("the furnace saves and ends")


if __name__ == "__main__":
    main()
