#!/usr/bin/env bash
# Train the anatomy network to convergence on one CUDA GPU. Resumable: run it again.
#
#     experiments/gpu/anatomy.sh LABELLED OUT
#
# LABELLED: folder with labelled scans (as lowdose.data.labelled.scans reads them). The digital patients are made once,
# on the CPU: 1,000 of them take about 6 s each on two cores, less on more. The minutes are estimates for one H200;
# nobody has measured them yet. The shipped weights had 1,600 coarse and 1,200 fine steps of 8 slices.
#   coarse   20,000 steps of 32 slices of 256   about 15 minutes
#   fine     20,000 steps of 32 slices of 352   about 25 minutes   Dice of digital patients above docs/results.md
#   within, shipped   1,000 steps of 32         about  2 minutes each
# Afterwards run experiments/anatomy/measure_all.sh OUT LABELLED NORMAL_DOSE.
set -euo pipefail
labelled=$1 out=$2
python=${PYTHON:-.venv/bin/python}
stage() {
    "$python" -m experiments.anatomy.train "$1" "$out" --bank "$out/digital" --labelled "$labelled" --device cuda \
        --set patients=1000 --set batch=32 --set checkpoint_every=500 --set "steps=$2" --set "size=$3"
}
stage coarse 20000 256
stage fine 20000 352
stage within 1000 352
stage shipped 1000 352
