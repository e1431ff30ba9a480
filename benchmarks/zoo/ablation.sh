#!/usr/bin/env bash
# What the zoo's training was chosen by: short runs of the network of `fast`, each with one thing changed.
#
#     benchmarks/zoo/ablation.sh SET OUT [NAME ...]     # SET: what training_set.py wrote; NAME: only these runs
#
# Judge them by judge.py on the held-out patients and L096. About 4 minutes a run on one Zen 4 core (STEPS=900).
set -euo pipefail
set_=$1 out=$2
shift 2
lowdose=${LOWDOSE:-.venv/bin/lowdose}
steps=${STEPS:-900}
[ $# -gt 0 ] || set -- as_chosen full_dose no_recast rate_twice patch_64
for name; do
    recipe=noise_free extra=(--network shuffle_unet)
    case $name in
        as_chosen) ;;
        no_recast) extra+=(--set recast_share=0) ;;
        rate_twice) extra+=(--set learning_rate=2e-3) ;;
        patch_64) extra+=(--set patch=64 --set batch=18) ;;
        full_dose)
            # The network has to make full dose itself, by plain mean squared error: LEDA's recipe without its loss.
            recipe=leda
            extra+=(--set leda_weight=0 --set patch=96 --set batch=8 --set learning_rate=1e-3 --set warmup=200
                --set final_learning_rate=1e-5 --set flux_low=0.7 --set flux_high=1 --set recast_share=0.3) ;;
        *) echo "no run '$name'"; exit 2 ;;
    esac
    "$lowdose" train "$recipe" --data "$set_/train" --data "$set_/check" --pairing simulated \
        --bank "${BANK:-$out/bank}" --set validation_patients=2 --set "steps=$steps" --set "validate_every=$steps" \
        "${extra[@]}" --out "$out/$name"
done
