#!/usr/bin/env bash
# What the zoo's training was chosen by: short runs of the network `shuffle_unet`, each with one thing changed.
#
#     benchmarks/zoo/ablation.sh SET OUT [NAME ...]     # SET: what training_set.py wrote; NAME: only these runs
#
# Judge them by judge.py on the held-out patients and L096. About 4 minutes a run on one Zen 4 core (STEPS=900).
set -euo pipefail
set_=$1 out=$2
shift 2
lowdose=${LOWDOSE:-.venv/bin/lowdose}
steps=${STEPS:-900}
declare -A change=(
    [as_chosen]=""
    [no_recast]="recast_share=0"
    [rate_twice]="learning_rate=2e-3"
    [patch_64]="patch=64 batch=18"
    [known_flux]="flux_low=1 flux_high=1"
    [plain_mse]=""
)
for name in "${@:-as_chosen no_recast rate_twice patch_64 known_flux plain_mse}"; do for name in $name; do
    recipe=balanced extra=()
    # The recipe leda with its loss switched off is plain mean squared error on any network.
    [ "$name" = plain_mse ] && recipe=leda && extra=(--network shuffle_unet --set leda_weight=0 --set patch=96
        --set batch=8 --set learning_rate=1e-3 --set final_learning_rate=1e-5 --set warmup=200
        --set flux_low=0.5 --set flux_high=1.4)
    for number in ${change[$name]}; do extra+=(--set "$number"); done
    "$lowdose" train "$recipe" --data "$set_/train" --data "$set_/check" --pairing simulated \
        --bank "${BANK:-$out/bank}" --set validation_patients=2 --set "steps=$steps" --set "validate_every=$steps" \
        "${extra[@]}" --out "$out/$name"
done; done
