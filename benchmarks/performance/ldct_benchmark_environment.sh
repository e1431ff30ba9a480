#!/usr/bin/env bash
# Make a virtual environment with ldct-benchmark and the same PyTorch as lowdose, for ldct_benchmark.py.
#
#     benchmarks/performance/ldct_benchmark_environment.sh FOLDER
set -euo pipefail
constraints=$(dirname "$0")/../../constraints.txt
if [ ! -e "$1/.ready" ]; then
    python3 -m venv "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$constraints" torch
    # Without dependencies: they would install another PyTorch, and the denoising function needs only those below.
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps ldct-benchmark==0.0.15
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check \
        numpy scipy scikit-image pydicom==3.0.1 tqdm requests platformdirs wandb pyyaml matplotlib pandas tabulate torchmetrics
    touch "$1/.ready"
fi
