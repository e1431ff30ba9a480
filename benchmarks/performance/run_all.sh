#!/usr/bin/env bash
# Run all benchmarks of speed; about 40 minutes on two cores, most of them for RED-CNN in PyTorch.
#
#     benchmarks/performance/run_all.sh OUT [quick]
#
# Run it in the repository root ("make bench"). OUT gets a CSV or JSON file and a figure of each part, row by row as they
# are made, and everything that was printed in OUT/bench.md. With "quick" ("make bench-quick") it runs only what needs
# neither RED-CNN in every engine nor other software, in fewer rounds: under 6 minutes.
set -euo pipefail
out=$1 size=${2:-all} here=$(dirname "$0")
python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"
part() { # TITLE MODULE ARGUMENTS...
    printf '\n## %s\n\n' "$1"
    shift
    "$python" -m "$@" || printf '\nfailed with %s\n' "$?"
}
quick() {
    part "First and second use" benchmarks.performance.first_use "$out" --model fast --rounds 1
    part "Engines" benchmarks.performance.engines "$out" --network fast --rounds 3 --without compile
    part "The whole command on a series" benchmarks.performance.denoise_command "$out" --slices 5 30 --rounds 1
    part "Reading DICOM, beside pydicom alone" benchmarks.dicom.read_speed --repeats 1
}
all() {
    part "First and second use" benchmarks.performance.first_use "$out"
    part "Engines" benchmarks.performance.engines "$out"
    part "The whole command on a series" benchmarks.performance.denoise_command "$out"
    "$here/ldct_benchmark_environment.sh" "$out/ldct-benchmark-environment" || printf '\nno ldct-benchmark here\n'
    part "Beside ldct-benchmark" benchmarks.performance.ldct_benchmark "$out/ldct-benchmark-environment" "$out"
    part "Reading DICOM, beside pydicom alone" benchmarks.dicom.read_speed
    part "LEDA's quantiser, beside its direct form" benchmarks.quantiser.compare --repeats 3
    part "The simulator: projection, back-projection, a slice" benchmarks.physics.projector
    part "An archive" benchmarks.archive.throughput "$out"
    part "Training in two processes" benchmarks.training.scaling "$out"
}
"$size" | tee "$out/bench.md"
