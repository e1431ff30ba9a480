#!/usr/bin/env bash
# Train the three autoencoders of LEDA's Table 4. Resumable.
#
#     experiments/leda/train_autoencoders.sh SIZE NORMAL OUT
#
# Run it in the repository root. SIZE: cpu (hours on two cores) or paper (one large GPU). NORMAL: scans of normal dose.
# Environment: LOWDOSE (the command), DEVICE (auto), BANK, the folder of digital patients, else OUT/digital; KINDS, a choice
# of vqgan words guided; FIDELITY_OPTIONS, further options of autoencoder_fidelity; MORE, further options of every
# training; every setting below that has ':='.
#
#   vqgan    1,024 learned tokens in one layer: a plain VQGAN, no words
#   words    the words in three layers, without the semantic loss
#   guided   the words with it: the autoencoder of LEDA
# Writes OUT/KIND with reconstruction.json. The denoiser with each is a row of the leaderboard:
#     python -m experiments.leaderboard.row leda --teacher autoencoder:OUT/KIND/model.safetensors
set -euo pipefail
size=$1 normal=$2 out=$3
python=${PYTHON:-.venv/bin/python} lowdose=${LOWDOSE:-.venv/bin/lowdose} device=${DEVICE:-auto}
read -ra more <<<"${MORE:-}"
case $size in
    cpu)
        : "${AUTOENCODER_SIZE:=small}" "${AUTOENCODER_STEPS:=4600}" "${AUTOENCODER_BATCH:=4}" "${SIDE:=256}"
        : "${ADVERSARIAL_START:=3400}" "${PATIENTS:=184}" "${EVERY:=100}"
        # Few steps, hence a larger learning rate than the recipe's. The perceptual loss and the discriminator cost most
        # of a step.
        autoencoder_settings=(learning_rate=1e-3 beta1=0.9 beta2=0.99 warmup=100 soft_steps=400 ema=0.998
            perceptual_weight=0.02 discriminator_width=32)
        ;;
    paper)
        : "${AUTOENCODER_SIZE:=paper}" "${AUTOENCODER_STEPS:=160000}" "${AUTOENCODER_BATCH:=4}" "${SIDE:=256}"
        : "${ADVERSARIAL_START:=12000}" "${PATIENTS:=1000}" "${EVERY:=2000}"
        autoencoder_settings=()
        ;;
    *) echo "size '$size': choose cpu or paper" >&2 && exit 2 ;;
esac
kinds=${KINDS:-vqgan words guided}
settings=(--size "$AUTOENCODER_SIZE")
for setting in "${autoencoder_settings[@]}" "patients=$PATIENTS" "steps=$AUTOENCODER_STEPS" "batch=$AUTOENCODER_BATCH" "side=$SIDE" \
    "adversarial_start=$ADVERSARIAL_START"; do
    settings+=(--set "$setting")
done
for kind in $kinds; do
    case $kind in
        vqgan) differs=(--set learned_tokens=1024 --set layers=1) ;;
        words) differs=(--set semantic_weight=0) ;;
        guided) differs=() ;;
        *) echo "autoencoder '$kind': choose of vqgan words guided" >&2 && exit 2 ;;
    esac
    [ ! -e "$out/$kind/complete" ] || continue
    again=()
    [ ! -e "$out/$kind/state.pt" ] || again=(--resume)
    "$lowdose" train leda_autoencoder --data "$normal" --bank "${BANK:-$out/digital}" --out "$out/$kind" --device "$device" \
        --set "checkpoint_every=$EVERY" --set "validate_every=$EVERY" "${settings[@]}" "${differs[@]}" "${more[@]}" "${again[@]}"
    touch "$out/$kind/complete"
done
read -ra fidelity_options <<<"${FIDELITY_OPTIONS:-}"
for kind in $kinds; do
    model=$out/$kind/model.safetensors found=$out/$kind/reconstruction.json
    # Measured again when the weights are newer than the figures.
    [ "$found" -nt "$model" ] || "$python" -m experiments.leda.autoencoder_fidelity "$model" --data "$normal" --out "$found" "${fidelity_options[@]}"
done
