#!/usr/bin/env bash
# LEDA's Table 4: three autoencoders, and a denoiser trained with each. Resumable.
#
#     benchmarks/leda/autoencoders.sh SIZE SOURCE DATA OUT [NORMAL]
#
# SIZE, SOURCE, DATA: as for denoisers.sh. NORMAL: the scans of normal dose that the autoencoders read; DATA if left out,
# which must then be such scans (SOURCE simulated). For pairs give the folder of the training patients' full-dose scans.
# Environment: BANK, the folder of digital patients, else OUT/digital; KINDS, a choice of vqgan words guided; JUDGING,
# further options of fid.py; DENOISE=no leaves the denoisers out; run.sh.
#
#   vqgan    1,024 learned tokens in one layer: a plain VQGAN, no words
#   words    the words in three layers, without the semantic loss
#   guided   the words with it: the autoencoder of LEDA
# Then OUT/NETWORK/leda-KIND for the first of NETWORKS; OUT/autoencoders/KIND/reconstruction.json by fid.py.
set -euo pipefail
size=$1 source=$2 data=$3 out=$4 normal=${5:-$3}
here=$(dirname "$0")
python=${PYTHON:-.venv/bin/python}
. "$here/run.sh"
sizes "$size"
kinds=${KINDS:-vqgan words guided}
numbers=(--size "$AUTOENCODER_SIZE")
for number in "${reading[@]}" "patients=$PATIENTS" "steps=$AUTOENCODER_STEPS" "batch=$AUTOENCODER_BATCH" "side=$SIDE" \
    "adversarial_start=$ADVERSARY"; do
    numbers+=(--set "$number")
done
for kind in $kinds; do
    case $kind in
        vqgan) differs=(--set learned_tokens=1024 --set layers=1) ;;
        words) differs=(--set semantic_weight=0) ;;
        guided) differs=() ;;
        *) echo "autoencoder '$kind': choose of vqgan words guided" >&2 && exit 2 ;;
    esac
    fit "$out/autoencoders/$kind" leda_autoencoder --data "$normal" --bank "${BANK:-$out/digital}" "${numbers[@]}" \
        "${differs[@]}"
done
read -ra judging <<<"${JUDGING:-}"
for kind in $kinds; do
    model=$out/autoencoders/$kind/model.safetensors found=$out/autoencoders/$kind/reconstruction.json
    # Measured again when the weights are newer than the figures.
    [ "$found" -nt "$model" ] || "$python" "$here/fid.py" "$model" --data "$normal" --out "$found" "${judging[@]}"
done
[ "${DENOISE:-yes}" = no ] && exit
for kind in $kinds; do
    AUTOENCODER=$out/autoencoders/$kind/model.safetensors TAG=-$kind NETWORKS=${NETWORKS%% *} ROWS="mse leda" \
        "$here/denoisers.sh" "$size" "$source" "$data" "$out"
done
