#!/usr/bin/env bash
# Train the network of `fast` briefly, each run with one setting changed, to choose the settings of the shipped models.
#
#     experiments/zoo/ablation.sh SET OUT [NAME ...]
#
# Run it in the repository root. SET: folder that training_set.py wrote. NAME: only these runs. Compare them by
# validation_table.py on the held-out patients and L096. About 4 minutes a run on one Zen 4 core (STEPS=900).
set -euo pipefail
set_=$1 out=$2
shift 2
lowdose=${LOWDOSE:-.venv/bin/lowdose}
steps=${STEPS:-900}
[ $# -gt 0 ] || set -- baseline full_dose no_kernel_conversion double_learning_rate patch_64
for name; do
    recipe=noise_free extra=(--network shuffle_unet)
    case $name in
        baseline) ;;
        no_kernel_conversion) extra+=(--set kernel_conversion_share=0) ;;
        double_learning_rate) extra+=(--set learning_rate=2e-3) ;;
        patch_64) extra+=(--set patch=64 --set batch=18) ;;
        full_dose)
            # The target is full dose itself, with its noise, by mean squared error alone: LEDA's recipe without its loss.
            recipe=leda
            extra+=(--set leda_weight=0 --set patch=96 --set batch=8 --set learning_rate=1e-3 --set warmup=200
                --set final_learning_rate=1e-5 --set flux_low=0.7 --set flux_high=1 --set kernel_conversion_share=0.3) ;;
        *) echo "no run '$name'"; exit 2 ;;
    esac
    "$lowdose" train "$recipe" --data "$set_/train" --data "$set_/check" --pairing simulated \
        --bank "${BANK:-$out/bank}" --set validation_patients=2 --set "steps=$steps" --set "validate_every=$steps" \
        "${extra[@]}" --out "$out/$name"
done
