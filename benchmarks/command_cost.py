"""Time and peak memory of one ``lowdose`` command in a process of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from typing import NamedTuple

# VmHWM is the peak of this process alone; ru_maxrss would start with the peak of the parent process.
PROGRAM = """
import sys
from pathlib import Path
from lowdose import cli
code = cli.run(sys.argv[1:])
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
    """

    seconds: float
    peak_mib: float


def measure_command(*arguments: str) -> CommandCost:
    """Run ``lowdose`` with these arguments; ends the program with the command's message when it fails."""
    start = time.perf_counter()
    result = subprocess.run([sys.executable, "-c", PROGRAM, *arguments], capture_output=True, text=True, check=True)
    seconds = time.perf_counter() - start
    code, kilobytes = result.stdout.split()[-2:]
    if code != "0":
        raise SystemExit(result.stderr)
    return CommandCost(seconds, int(kilobytes) / 1024)
