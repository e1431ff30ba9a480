#!/usr/bin/env bash
# Train the denoisers of LEDA's Tables 1-3: one start by MSE, then equally long runs from it by each loss. Resumable.
#
#     experiments/leda/train_denoisers.sh SIZE SOURCE DATA OUT
#
# Run it in the repository root. SIZE: cpu or paper (run_settings.sh). SOURCE: what DATA is:
#   simulated         scans of normal dose; quarter dose is simulated (its noise kept in NOISE, else OUT/noise-bank)
#   folders           pairs of scans
#   mayo-2016-leda    the collection, of which the paper's training patients are taken; likewise mayo-2020-leda
# Environment: NETWORKS; ROWS, a choice of mse perceptual leda leda_c leda_d; AUTOENCODER, a file or a shipped name;
# TAG, a suffix of the names of LEDA's runs, to distinguish autoencoders; FEATURES of the perceptual loss; those of
# run_settings.sh.
#
# OUT/NETWORK/start is trained by MSE alone. From its weights start, all on the same patches in the same order, which
# differ from those of the start: mse (more MSE), perceptual (MSE + 7e-4 of it), leda (MSE + 0.5 of both terms), leda_c
# and leda_d (one term).
set -euo pipefail
size=$1 source=$2 data=$3 out=$4
. "$(dirname "$0")/run_settings.sh"
sizes "$size"
paired=(--data "$data")
case $source in
    simulated)
        paired+=(--pairing simulated --bank "${NOISE:-$out/noise-bank}" --set validation_patients=1
            --set dose_low=0.25 --set dose_high=0.25 --set full_dose_share=0)
        ;;
    folders) ;;
    *) paired+=(--split "$source") ;;
esac
rows=${ROWS:-mse perceptual leda leda_c leda_d}
teacher=() feature_options=()
[ -n "${AUTOENCODER:-}" ] && teacher=(--teacher "autoencoder:$AUTOENCODER")
[ -n "${FEATURES:-}" ] && feature_options=(--teacher "features:$FEATURES")

for network in $NETWORKS; do
    place=$out/$(name_of "$network")
    common=("${paired[@]}" --network "$network" --set "batch=$BATCH" --set "patch=$PATCH")
    # The recipe with the weight 0 is MSE alone, to the last bit.
    fit "$place/start" leda "${common[@]}" --set leda_weight=0 --set "steps=$START_STEPS" \
        --set "learning_rate=$START_RATE"
    from_start=("${common[@]}" --start "$place/start/model.safetensors" --set "steps=$STEPS" --set "learning_rate=$RATE"
        --set seed=1)
    for row in $rows; do
        case $row in
            mse) fit "$place/mse" leda "${from_start[@]}" --set leda_weight=0 ;;
            perceptual) fit "$place/perceptual" perceptual "${from_start[@]}" "${feature_options[@]}" ;;
            leda) fit "$place/leda${TAG:-}" leda "${from_start[@]}" "${teacher[@]}" ;;
            leda_c) fit "$place/leda_c${TAG:-}" leda "${from_start[@]}" "${teacher[@]}" --set discrete=0 ;;
            leda_d) fit "$place/leda_d${TAG:-}" leda "${from_start[@]}" "${teacher[@]}" --set continuous=0 ;;
            *) echo "row '$row': choose of mse perceptual leda leda_c leda_d" >&2 && exit 2 ;;
        esac
    done
done
