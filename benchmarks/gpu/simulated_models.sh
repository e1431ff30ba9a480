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
. "$(dirname "$0")/fit.sh"
simulated=(--pairing simulated --bank "$out/bank" --set validation_patients=1)
fit unet 30000 "${simulated[@]}"
fit red_cnn 100000 "${simulated[@]}"
