#!/usr/bin/env bash
# Everything that has a speed, side by side: about 40 minutes on two cores, most of them PyTorch's RED-CNN.
#
#     benchmarks/performance/bench.sh OUT
#
# OUT gets a CSV or JSON and a picture of each part, and all that was printed in OUT/bench.md.
set -euo pipefail
out=$1 here=$(dirname "$0")
python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"
part() { # TITLE COMMAND...
    printf '\n## %s\n\n' "$1"
    shift
    "$@" || printf '\nfailed with %s\n' "$?"
}
{
    part "Engines" "$python" "$here/engines.py" "$out"
    part "A series, from the command to the last file" "$python" "$here/series.py" "$out"
    part "A peer's denoising function" bash -c "'$here/peer.sh' '$out/peer-environment' && '$python' '$here/peer.py' '$out/peer-environment' '$out'"
    part "Reading DICOM, beside pydicom alone" "$python" "$here/../io/read_speed.py"
    part "LEDA's quantiser, beside its direct form" "$python" "$here/../quantiser/compare.py" --repeats 3
    part "The simulator: projection, back-projection, a slice" "$python" "$here/../physics/projector.py"
    part "An archive" "$python" "$here/../archive/throughput.py" "$out"
    part "Training in two processes" "$python" "$here/../training/scaling.py" "$out"
} | tee "$out/bench.md"
