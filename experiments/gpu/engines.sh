#!/usr/bin/env bash
# Measure how near to its limit a CUDA GPU runs: engines, and LEDA's training step beside the direct form. About 6
# minutes on one H100 or H200, an estimate; nobody has measured it yet. Nothing to resume: each part is short.
#
#     experiments/gpu/engines.sh OUT
#
#   CUDA tests                                  1 minute    all pass
#   engines, one slice and four at a time       2 minutes   RED-CNN fast: at least 60 % of the measured bf16 product; the
#                                                           HU gate passed; slices/s are the inverse of the seconds
#   LEDA step, RED-CNN, bf16 and float32        3 minutes   at least 1.1 times the direct form's throughput at the same
#                                                           precision, at lower peak memory
set -euo pipefail
out=$1
python=${PYTHON:-.venv/bin/python}
mkdir -p "$out"
"$python" -m pytest -q tests/infer/engines -k cuda | tee "$out/tests.txt"
for batch in 1 4; do
    "$python" -m benchmarks.performance.engines "$out/batch-$batch" --device cuda --batch "$batch" --rounds 20 \
        | tee "$out/engines-$batch.md"
done
"$python" -m benchmarks.leda.step_cost --network red_cnn --size paper --device cuda --repeats 20 --direct \
    | tee "$out/step-cost.md"
