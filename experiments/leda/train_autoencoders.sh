#!/usr/bin/env bash
# Train the three autoencoders of LEDA's Table 4, and a denoiser with each. Resumable.
#
#     experiments/leda/train_autoencoders.sh SIZE SOURCE DATA OUT [NORMAL]
#
# Run it in the repository root. SIZE, SOURCE, DATA: as for train_denoisers.sh. NORMAL: scans of normal dose to train
# the autoencoders on; DATA by default, which must then be such scans (SOURCE simulated). For pairs give the folder of the
# training patients' full-dose scans.
# Environment: BANK, the folder of digital patients, else OUT/digital; KINDS, a choice of vqgan words guided;
# FIDELITY_OPTIONS, further options of autoencoder_fidelity; DENOISE=no leaves the denoisers out; those of
# run_settings.sh.
#
#   vqgan    1,024 learned tokens in one layer: a plain VQGAN, no words
#   words    the words in three layers, without the semantic loss
#   guided   the words with it: the autoencoder of LEDA
# Writes OUT/autoencoders/KIND with reconstruction.json, and OUT/NETWORK/leda-KIND for the first of NETWORKS.
set -euo pipefail
size=$1 source=$2 data=$3 out=$4 normal=${5:-$3}
here=$(dirname "$0")
python=${PYTHON:-.venv/bin/python}
. "$here/run_settings.sh"
sizes "$size"
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
    fit "$out/autoencoders/$kind" leda_autoencoder --data "$normal" --bank "${BANK:-$out/digital}" "${settings[@]}" \
        "${differs[@]}"
done
read -ra fidelity_options <<<"${FIDELITY_OPTIONS:-}"
for kind in $kinds; do
    model=$out/autoencoders/$kind/model.safetensors found=$out/autoencoders/$kind/reconstruction.json
    # Measured again when the weights are newer than the figures.
    [ "$found" -nt "$model" ] || "$python" -m experiments.leda.autoencoder_fidelity "$model" --data "$normal" --out "$found" "${fidelity_options[@]}"
done
[ "${DENOISE:-yes}" = no ] && exit
for kind in $kinds; do
    AUTOENCODER=$out/autoencoders/$kind/model.safetensors TAG=-$kind NETWORKS=${NETWORKS%% *} ROWS="mse leda" \
        "$here/train_denoisers.sh" "$size" "$source" "$data" "$out"
done
