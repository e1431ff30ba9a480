"""Time and peak memory of one ``lowdose`` command in a process of its own."""

from __future__ import annotations

import resource
import subprocess
import sys
import time
from typing import NamedTuple

# VmHWM is the peak of this process alone; ru_maxrss would start with the peak of the parent process.
PROGRAM = """
import sys
from pathlib import Path
from lowdose import cli
try:
    cli.main(sys.argv[1:])
except SystemExit as end:
    code = end.code
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(code, peak.split()[1])
"""


class CommandCost(NamedTuple):
    """Cost of one command.

    Attributes
    ----------
    seconds : float
        From the start of the process to its end.
    peak_mib : float
        Peak resident memory, MiB.
    cpu_seconds : float
        Processor time of the process, its threads and its children.
    messages : str
        What the command wrote to standard error.
    """

    seconds: float
    peak_mib: float
    cpu_seconds: float
    messages: str


def measure_command(*arguments: str) -> CommandCost:
    """Run ``lowdose`` with these arguments; ends the program with the command's message when it fails."""
    start, before = time.perf_counter(), children_cpu_seconds()
    result = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    seconds, spent = time.perf_counter() - start, children_cpu_seconds() - before
    code, kilobytes = result.stdout.split()[-2:]
    if code != "0":
        raise SystemExit(result.stderr)
    return CommandCost(seconds, int(kilobytes) / 1024, spent, result.stderr)


def children_cpu_seconds() -> float:
    """Return the processor time of all child processes that have ended, s."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
