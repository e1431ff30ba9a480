#!/usr/bin/env bash
# The environment of the peer that peer.py measures: ldct-benchmark, with the PyTorch that lowdose has, apart from it.
#
#     benchmarks/performance/peer.sh FOLDER
set -euo pipefail
constraints=$(dirname "$0")/../../constraints.txt
if [ ! -e "$1/.ready" ]; then
    python3 -m venv "$1"
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --constraint "$constraints" torch
    # Without its other requirements: they bring another PyTorch, and its denoising function needs none of them.
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps ldct-benchmark==0.0.15
    "$1/bin/python" -m pip install --quiet --disable-pip-version-check \
        numpy scipy scikit-image pydicom==3.0.1 tqdm requests platformdirs wandb pyyaml matplotlib pandas tabulate torchmetrics
    touch "$1/.ready"
fi
