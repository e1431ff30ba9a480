#!/usr/bin/env bash
# Train LEDA to convergence on one CUDA GPU: autoencoders, then denoisers by MSE and by LEDA. Resumable: run it again.
#
#     experiments/gpu/leda.sh NORMAL OUT [PAIRS]
#
# NORMAL: a folder or pack of normal-dose CT; quarter dose is simulated, its noise made once (about 2 s a slice on two
# cores, less on more). The digital patients are made once, on the CPU: 1,000 of them take about 6 s each on two cores,
# less on more. PAIRS: real pairs of quarter and full dose, for the tables at the end. The minutes are estimates for
# one H200; nobody has measured them yet.
#   step costs                                            about  2 minutes   LEDA at most 2.2 times the MSE step
#   autoencoder, small   100,000 steps of 16 crops of 256 about 40 minutes   at least 30 dB on real slices, 2 % of the
#   autoencoder, paper   100,000 steps of 16 crops of 256 about 85 minutes     words in use, the paper's size above both
#   red_cnn  50,000 steps of 4 by MSE, then 25,000: MSE, LEDA by each autoencoder    about 120 minutes
#   esau_net the same                                                                about 140 minutes
#     LEDA against MSE alone on real pairs: SSIM and FSIM above, PSNR within 0.1 dB (the paper's Tables 1 and 2)
# Watch OUT/*/log.csv: tokens/in_use and tokens/perplexity must not fall to a handful, validation/psnr must rise.
set -euo pipefail
data=$1 out=$2 pairs=${3:-}
here=$(dirname "$0")/../leda
python=${PYTHON:-.venv/bin/python}
export DEVICE=cuda BANK="$out/digital" NOISE="$out/noise-bank" EVERY=1000
mkdir -p "$out"

for size in small paper; do
    "$python" -m benchmarks.leda.step_cost --size "$size" --device cuda --repeats 20 --direct | tee "$out/step-cost-$size.md"
done

train_autoencoder() { # SIZE OUT
    AUTOENCODER_SIZE=$1 KINDS=guided DENOISE=no AUTOENCODER_STEPS=100000 AUTOENCODER_BATCH=16 \
        FIDELITY_OPTIONS="--digital $BANK --digital-slices 64" "$here/train_autoencoders.sh" paper simulated "$data" "$2"
}
train_autoencoder small "$out/small"
train_autoencoder paper "$out"

train_denoisers() { # FOLDER WITH THE AUTOENCODER, TAG
    AUTOENCODER=$1/autoencoders/guided/model.safetensors TAG=$2 ROWS="mse leda" START_STEPS=50000 STEPS=25000 \
        "$here/train_denoisers.sh" paper simulated "$data" "$out"
}
train_denoisers "$out" ""
denoising "$out/small" -small
if [ -n "$pairs" ]; then
    "$python" -m experiments.leda.denoiser_tables "$out" "$pairs" --report "$out/report" | tee "$out/tables.md"
fi
