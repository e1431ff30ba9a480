#!/usr/bin/env bash
# Run one job on a bare machine with one CUDA GPU, from the root of the checkout.
#
#     experiments/gpu/run.sh JOB [MINUTES]
#
# MINUTES: of the whole job, 10 if left out. Needs experiments/gpu/inputs/, which prepare.sh fills, Python 3.11 or newer with
# torch, numpy, scipy, numba, Pillow, scikit-image, safetensors and tensorboard; no network, no virtual environment, no
# pydicom, no nibabel. Results lie in OUT, while it runs, too: the latest weights of each run every two minutes, the log
# with its validation, and run.json (deliver.sh). Environment: OUT (experiments/gpu/results), PYTHON (python3), WORK (a
# folder for the runs), DRY_RUN=N for N steps of two patches on the CPU.
#
# Jobs, most valuable first:
#   zoo             fast and context of the zoo at the same time, from the shipped one-slice weights
#   leda_teacher    LEDA's autoencoder, of the size that ships
#   leda_denoisers  RED-CNN and ESAU-Net as they ship: by MSE, then on from that by MSE and by LEDA, equally long
#   rivals          noise_free with RED-CNN and ESAU-Net of the papers' size
#   engines         checks and timings: patches, engines, LEDA's step, projector
set -euo pipefail
started=$(date +%s)
job=${1:?which job? zoo leda_teacher leda_denoisers rivals engines} minutes=${2:-10}
here=$(dirname "$0")
inputs=$here/inputs python=${PYTHON:-python3} work=${WORK:-$(mktemp -d)} results=${OUT:-$here/results}
mkdir -p "$work" "$results"

"$python" "$here/missing_packages.py" "$inputs/wheels" "$work/packages"
export PYTHONPATH=$PWD/src:$PWD:$work/packages${PYTHONPATH:+:$PYTHONPATH}

# NumPy's products would take all cores in each of the processes that simulate noise.
export OPENBLAS_NUM_THREADS=1

device=cuda small=()
if [ -n "${DRY_RUN:-}" ]; then device=cpu small=(--set "steps=$DRY_RUN" --set batch=2 --set warmup=5 --precision 32-true); fi

left() { # PERCENT of the minutes that are left, but for the last ten seconds
    awk -v m="$minutes" -v s="$started" -v now="$(date +%s)" -v p="$1" 'BEGIN {print (m - (now - s + 10) / 60) * p / 100}'
}

train() { # NAME PERCENT RECIPE OPTION ...: trains for so much of the time that is left
    local name=$1 limit=(--minutes "$(left "$2")") recipe=$3
    shift 3
    [ -z "${DRY_RUN:-}" ] || limit=()
    echo "== $name ${limit[*]}"
    "$python" -m lowdose train "$recipe" --data "$work/set.pack" --out "$work/$name" --device "$device" \
        --set checkpoint_every=1000000000 --checkpoint-minutes 2 "$@" "${limit[@]}" "${small[@]}"
    "$here/deliver.sh" "$work" "$results"
}

noise_free=(--pairing simulated --bank "$work/noise-bank" --set validation_patients=2 --set validate_every=1000)

zoo() {
    # Two small networks at a time: a GPU waits for the process that launches its kernels. Both read one noise bank, which
    # a training of one step makes.
    local set=(--pairing simulated --bank "$work/noise-bank" --start src/lowdose/zoo/fast.safetensors
        --set validation_patients=0 --set lesion_share=0.3 --set lesion_weight=0.3 --set learning_rate=7e-4
        --set ema=0.9995) single=shuffle_unet context=shuffle_unet:slices=3 first second
    "$python" -m lowdose train noise_free --data "$work/set.pack" --out "$work/one-step" --device "$device" \
        --network "$context" "${set[@]}" --set batch=2 --set steps=1
    rm -r "$work/one-step"
    train fast 100 noise_free "${set[@]}" --set batch=48 --network "$single" & first=$!
    train context 100 noise_free "${set[@]}" --set batch=48 --network "$context" & second=$!
    wait "$first" || echo "fast failed" >&2
    wait "$second" || echo "context failed" >&2
    next="put them beside the shipped one: python -m experiments.furnace.compare VALIDATION OUT.csv fast FILE ...; a better one
ships: python -m experiments.furnace ship zoo_fast --weights FILE --cost '6 minutes of one H200' (or zoo_context)"
}

leda_teacher() {
    # Fewer digital patients than in the recipe: 16 cores make 48 in about a minute.
    train teacher 100 leda_autoencoder --bank "$work/digital" --set patients="${PATIENTS:-48}" --set batch=24 \
        --set learning_rate=8e-4 --set soft_steps=800 --set adversarial_start=9000 --set validate_every=2000
    next="judge it: lowdose evaluate --task teacher --autoencoder teacher.safetensors --full SERIES --out DIR (B at least 0.8,
locality at most 0.1, 32 dB); then give it to prepare.sh and run leda_denoisers"
}

leda_denoisers() {
    local teacher=() network name paired
    [ ! -e "$inputs/teacher.safetensors" ] || teacher=(--teacher "autoencoder:$inputs/teacher.safetensors")
    # A quarter of the dose alone, as in the paper.
    paired=(--pairing simulated --bank "$work/noise-bank" --set validation_patients=2 --set dose_low=0.25
        --set dose_high=0.25 --set full_dose_share=0 --set batch=16 --set validate_every=500)
    local shares=(20 25 33 40 50 100) number=0
    for network in red_cnn:channels=32 esau_net:width=16; do
        name=${network%%:*}
        train "$name-start" "${shares[number]}" leda "${paired[@]}" --network "$network" --set leda_weight=0 \
            --set learning_rate=3e-4
        local on=(--start "$work/$name-start/model.safetensors" --set seed=1)
        train "$name-mse" "${shares[number + 1]}" leda "${paired[@]}" --network "$network" "${on[@]}" --set leda_weight=0
        train "$name-leda" "${shares[number + 2]}" leda "${paired[@]}" --network "$network" "${on[@]}" "${teacher[@]}"
        number=$((number + 3))
    done
    next="compare each -leda with its -mse on real pairs: lowdose evaluate --data PAIRS --model A --model B --out DIR (SSIM and
FSIM above, PSNR within 0.15 dB, and above the blended twin); if so, python -m experiments.zoo.ship_model RUN leda_red_cnn"
}

rivals() {
    train red_cnn 50 noise_free "${noise_free[@]}" --network red_cnn --set batch=32 --set learning_rate=2e-4
    train esau_net 100 noise_free "${noise_free[@]}" --network esau_net --set batch=32 --set learning_rate=5e-4
    next="put both beside the shipped model: python -m experiments.furnace.compare VALIDATION OUT.csv fast FILE ...; the
default should come within 0.5 dB of red_cnn"
}

engines() {
    "$python" -m experiments.gpu.check_patches "$work/set.pack" --device "$device" | tee "$work/patches.md"
    "$python" -m benchmarks.performance.engines "$work/engines" --device "$device" --rounds 20 --network red_cnn \
        ${DRY_RUN:+--rounds 1} | tee "$work/engines.md"
    "$python" -m benchmarks.leda.step_cost --network red_cnn --device "$device" --repeats 20 --direct \
        ${DRY_RUN:+--repeats 1 --side 128} | tee "$work/step-cost.md"
    "$python" -m benchmarks.physics.projector | tee "$work/projector.md"
    next="copy the tables of runs.tar.gz to docs/results.md: RED-CNN fast at 60 % or more of the measured bf16 product, the HU
gate passed; LEDA's step at least 1.1 times the direct form's throughput; patches equal to those of the CPU"
}

declare -F "$job" >/dev/null && [[ " zoo leda_teacher leda_denoisers rivals engines " == *" $job "* ]] ||
    { echo "no job '$job'; there are zoo leda_teacher leda_denoisers rivals engines" >&2; exit 2; }
"$python" -m experiments.furnace.training_set unpack "$inputs/training_set.zip" "$work/set.pack"

# Results are copied while a run goes on, for the machine may be taken away.
while sleep 30; do "$here/deliver.sh" "$work" "$results" || true; done >/dev/null 2>&1 &
delivery=$!
trap 'kill "$delivery"' EXIT
"$job"
"$here/deliver.sh" "$work" "$results"
echo "results in $results: $(ls "$results" | tr '\n' ' ')"
echo "Next: $next"
