#!/usr/bin/env bash
# Train the first models on one patient's pairs and test them on the other's, both ways round. Resumable.
#
#     experiments/first_models/train_folds.sh PAIRS OUT
#
# Run it in the repository root. PAIRS holds L096-3mm-D45f, L143-3mm-B30f and L143-3mm-D45f. It takes about an hour and
# a half on two cores. The reports are OUT/test-*/index.html; evaluation_tables prints them for docs/results.md.
set -euo pipefail
pairs=$1 out=$2
lowdose=${LOWDOSE:-.venv/bin/lowdose}

fit() { # NAME RECIPE arguments...
    local name=$1 recipe=$2 again=()
    shift 2
    [ -e "$out/$name/state.pt" ] && again=(--resume)
    "$lowdose" train "$recipe" "$@" --out "$out/$name" "${again[@]}"
}

l096=(--data "$pairs/L096-3mm-D45f")
l143=(--data "$pairs/L143-3mm-D45f" --data "$pairs/L143-3mm-B30f" --set validation_patients=0)
fit unet_L096 unet "${l096[@]}"
fit esau_net_L096 esau_net "${l096[@]}"
fit unet_L143 unet "${l143[@]}" --set steps=1500
# Seven of the eleven pairs of L143 have the soft kernel; trained on all, ESAU-Net sees too little sharp noise.
fit esau_net_L143 esau_net --data "$pairs/L143-3mm-D45f"
# A slice costs RED-CNN 12 times as much as the U-Net: on a CPU only one short fold, to show that it learns.
fit red_cnn_L096 red_cnn "${l096[@]}" --set steps=400 --set batch=8 --set learning_rate=3e-4

score() { # NAME SERIES MODELS...
    local name=$1 series=$2 models=()
    shift 2
    for model in "$@"; do models+=(--model "$out/$model/model.safetensors"); done
    "$lowdose" evaluate --data "$pairs/$series" --model nlm --model tv --model gaussian "${models[@]}" --out "$out/$name"
}
score test-L143-D45f L143-3mm-D45f unet_L096 esau_net_L096 red_cnn_L096
score test-L143-B30f L143-3mm-B30f unet_L096 esau_net_L096 red_cnn_L096
score test-L096-D45f L096-3mm-D45f unet_L143 esau_net_L143
