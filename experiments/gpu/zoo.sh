#!/usr/bin/env bash
# Train the larger shipped models on one CUDA GPU, a few minutes at a time; each call continues the last one.
#
#     experiments/gpu/zoo.sh SET STATE OUT MODEL [MINUTES]
#
# SET: folder that experiments/zoo/training_set.py wrote (24 MiB). STATE: folder with the pieces of the last call, may
# be empty. OUT: gets the pieces of this call (at most 14 MiB each) and MODEL.safetensors. MINUTES: minutes of training, 8
# by default; the noise of 142 slices is made before, about a minute on 16 cores, in every call, since it is too large
# to be copied.
# Most valuable first. The total minutes are estimates for one H200; nobody has measured them yet.
#   shuffle_unet   100,000 steps of 32   about 30 minutes   `fast`, six times as long: above the shipped one by 0.1 dB
#   context        100,000 steps of 16   about 40 minutes   three slices: at least 0.3 dB above `fast`
#   red_cnn        100,000 steps of 16   about 60 minutes   the paper's size; what `fast` is to come within 0.5 dB of
#   esau_net       100,000 steps of 16   about 90 minutes   width 24, for its weights are to stay below 6 MB
#   leda_red_cnn, leda_esau_net          as long again      from the two above with LEDA: FSIM and f_av up, PSNR -0.15 dB
# Then: python -m experiments.zoo.ship_model RUN NAME, and experiments.zoo.{validation_table,blend,full_dose,lesions,
# contact_sheet} and benchmarks.zoo.speed.
set -euo pipefail
set_=$1 state=$2 out=$3 model=$4 minutes=${5:-8}
lowdose=${LOWDOSE:-.venv/bin/lowdose}
work=${WORK:-$(mktemp -d)}
mkdir -p "$out"
if compgen -G "$state/state.tar.*" >/dev/null; then cat "$state"/state.tar.* | tar -xf - -C "$work"; fi

network=(--network "$model") recipe=noise_free more=()
case $model in
    shuffle_unet) more=(--set steps=100000 --set batch=32) ;;
    context) network=(--network unet:slices=3) more=(--set steps=100000 --set batch=16) ;;
    red_cnn) more=(--set steps=100000 --set batch=16 --set learning_rate=2e-4) ;;
    esau_net) network=(--network esau_net:width=24) more=(--set steps=100000 --set batch=16) ;;
    leda_*)
        # Starts from the same network trained without LEDA, whose weights must lie in STATE as NETWORK.safetensors.
        recipe=leda base=${model#leda_} network=(--network "$base")
        [ "$base" = esau_net ] && network=(--network esau_net:width=24)
        more=(--set steps=50000 --set batch=8 --set patch=128 --start "$state/$base.safetensors") ;;
    *) echo "no model '$model'"; exit 2 ;;
esac
again=()
[ -e "$work/run/state.pt" ] && again=(--resume)
status=0
timeout --signal=TERM "${minutes}m" "$lowdose" train "$recipe" "${network[@]}" --data "$set_/train" --data "$set_/check" \
    --pairing simulated --bank "$work/bank" --set validation_patients=2 --set checkpoint_every=1000 "${more[@]}" \
    --device cuda --out "$work/run" "${again[@]}" || status=$?
tar -cf - -C "$work" run | split -b 14m - "$out/state.tar."
cp "$work/run/model.safetensors" "$out/$model.safetensors"
[ "$status" = 0 ] && echo "complete" || echo "stopped ($status): call again with STATE=$out"
