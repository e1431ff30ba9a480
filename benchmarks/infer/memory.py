"""Peak memory of 'lowdose denoise' against the length of the series.

    python benchmarks/infer/memory.py [SLICES ...]

A synthetic 512x512 DICOM series of each length goes through the command in a fresh process, once with strength 0
(reading and writing alone) and once with the shipped default model on the shortest series.
"""

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from lowdose.io.dicom.new_series import write_new_series
from lowdose.physics import phantom
from lowdose.volume import Volume

RUN = """
import sys
from pathlib import Path
from lowdose import cli
code = cli.run(sys.argv[1:])
peak = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
print(code, peak.split()[1])
"""


def series(folder: Path, count: int) -> None:
    body = phantom.with_noise(phantom.abdomen(4, 0), 20.0, 0.25, 0)
    hu = np.concatenate([body.hu] * -(-count // 4))[:count]
    write_new_series(Volume(hu, body.geometry, body.acquisition), folder, description="memory")


def peak(folder: Path, out: Path, *options: str) -> float:
    command = [sys.executable, "-c", RUN, "denoise", str(folder), str(out), *options]
    result = subprocess.run(command, capture_output=True, text=True, check=True)
    code, kilobytes = result.stdout.split()[-2:]
    if code != "0":
        raise SystemExit(result.stderr)
    return int(kilobytes) / 1024


def main() -> None:
    counts = [int(text) for text in sys.argv[1:]] or [10, 100, 1000]
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        for count in counts:
            series(root / f"in{count}", count)
            found = peak(root / f"in{count}", root / f"out{count}", "--strength", "0")
            print(f"{count:5d} slices, strength 0: peak {found:7.0f} MiB", flush=True)
        least = min(counts)
        print(f"{least:5d} slices, default model: peak {peak(root / f'in{least}', root / 'model'):7.0f} MiB")


if __name__ == "__main__":
    main()
