#!/usr/bin/env bash
# Denoisers trained without any pair, on low dose simulated from normal dose, on one CUDA GPU. Resumable: run it again.
#
#     benchmarks/gpu/simulated_models.sh NORMAL OUT
#
# NORMAL: folders or packs of normal-dose CT. The noise bank is made once (about 2 s a slice on two cores, less on
# more). The minutes are estimates for one H200; nobody has measured them yet.
#   unet       30,000 steps of 16 patches   about  5 minutes   above the 1,800 CPU steps of docs/results.md
#   red_cnn   100,000 steps of 16 patches   about 20 minutes   the same, one dose range for all of 5 to 100 %
set -euo pipefail
data=$1 out=$2
lowdose=${LOWDOSE:-.venv/bin/lowdose}
fit() { # RECIPE steps
    local again=()
    [ -e "$out/$1/state.pt" ] && again=(--resume)
    "$lowdose" train "$1" --data "$data" --pairing simulated --bank "$out/bank" --out "$out/$1" --device cuda \
        --set "steps=$2" --set batch=16 --set validation_patients=1 --set checkpoint_every=1000 "${again[@]}"
}
fit unet 30000
fit red_cnn 100000
