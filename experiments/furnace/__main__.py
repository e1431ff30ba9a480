"""Long training in the background: a queue of jobs that goes on where it was stopped.

    python -m experiments.furnace run [--ct FOLDER]     # until stopped; 'make furnace' starts it in the background
    python -m experiments.furnace status
    python -m experiments.furnace pause [--process PID] | resume | stop
    python -m experiments.furnace retry JOB             # goes on with a blocked job
    python -m experiments.furnace restart JOB           # after its settings changed; begins anew
    python -m experiments.furnace export JOB FILE | import JOB FILE
    python -m experiments.furnace ship JOB [--weights FILE --cost WORDS]   # FILE: the same job trained elsewhere

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
from experiments.furnace.runner import Runner, copy_code, prepare, restart, retry
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
    for name in ("retry", "restart", "ship", "export", "import"):
        command = commands.add_parser(name)
        command.add_argument("job")
        if name in ("export", "import"):
            command.add_argument("file", type=Path)
        if name == "ship":
            command.add_argument("--weights", type=Path, help="of the same job trained elsewhere, as on a GPU")
            command.add_argument("--cost", default="", help="what they cost, for the card")
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
        case _:
            print(_change_job(furnace, arguments))


def _change_job(furnace: Furnace, arguments: argparse.Namespace) -> str:
    """Execute a command on one job, which must not train now."""
    job = find_job(load_jobs(arguments.jobs), arguments.job)
    if arguments.command == "ship":
        return ship.ship(furnace, job, arguments.weights, arguments.cost)
    with locked(furnace.job(job.name).folder / "lock", f"job '{job.name}'"):
        match arguments.command:
            case "retry":
                return retry(furnace, job)
            case "restart":
                return restart(furnace, job)
            case "export":
                return transfer.export_job(furnace, job, arguments.file)
            case _:
                return transfer.import_job(furnace, job, arguments.file)


def _run(furnace: Furnace, jobs: Path, ct: Path | None) -> None:
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(message)s", datefmt="%d %b %H:%M:%S",
        handlers=[logging.FileHandler(furnace.log), logging.StreamHandler()],
    )  # fmt: skip
    with locked(furnace.folder / "lock", "the furnace"):
        os.nice(max(0, 19 - os.nice(0)))
        prepare(furnace, load_jobs(jobs), ct)
        copy_code(furnace)
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
