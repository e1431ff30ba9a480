#!/usr/bin/env bash
# Run the CUDA tests of the physics and its timings on one CUDA GPU. About 3 minutes; nobody has run it yet.
#
#     experiments/gpu/physics.sh OUT
#
# Expected: every test of tests/physics that needs a GPU passes (same numbers as the CPU, noise within 0.01 HU),
# and OUT/projector.md with projection and back-projection of a slice on CUDA beside the CPU (expected: some ms against
# 0.29 s and 0.16 s on two cores).
set -euo pipefail
out=$1
python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"
"$python" -m pytest tests/physics -k cuda -rs | tee "$out/cuda-tests.txt"
"$python" -m benchmarks.physics.projector | tee "$out/projector.md"
