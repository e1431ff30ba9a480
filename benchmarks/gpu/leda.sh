#!/usr/bin/env bash
# LEDA as long as it deserves, on one CUDA GPU: autoencoders that speak words, then denoisers by MSE and by LEDA.
# Resumable: run it again.
#
#     benchmarks/gpu/leda.sh NORMAL OUT [PAIRS]
#
# NORMAL: a folder or pack of normal-dose CT; quarter dose is simulated, its noise made once (about 2 s a slice on two
# cores, less on more). The digital patients are made once, on the CPU: 1,000 of them take about 6 s each on two cores,
# less on more. PAIRS: real pairs of quarter and full dose, to be measured on at the end. The minutes are estimates for
# one H200; nobody has measured them yet.
#   step costs                                            about  2 minutes   LEDA at most 2.2 times the MSE step
#   autoencoder, small   100,000 steps of 16 crops of 256 about 40 minutes   at least 30 dB on real slices, 2 % of the
#   autoencoder, paper   100,000 steps of 16 crops of 256 about 85 minutes     words in use, the paper's size above both
#   red_cnn  50,000 steps of 4 by MSE, then 25,000: MSE, LEDA by each autoencoder    about 120 minutes
#   esau_net the same                                                                about 140 minutes
#     LEDA against the MSE twin on real pairs: SSIM and FSIM above, PSNR within 0.1 dB (the paper's Tables 1 and 2)
# Watch OUT/*/log.csv: tokens/in_use and tokens/perplexity must not fall to a handful, validation/psnr must rise.
set -euo pipefail
data=$1 out=$2 pairs=${3:-}
here=$(dirname "$0")/../leda
python=${PYTHON:-.venv/bin/python}
export DEVICE=cuda BANK="$out/digital" NOISE="$out/noise-bank" EVERY=1000
mkdir -p "$out"

for size in small paper; do
    "$python" "$here/step_cost.py" --size "$size" --device cuda --repeats 20 --direct | tee "$out/step-cost-$size.md"
done

reading() { # SIZE OUT
    AUTOENCODER_SIZE=$1 KINDS=guided DENOISE=no AUTOENCODER_STEPS=100000 AUTOENCODER_BATCH=16 \
        JUDGING="--digital $BANK --digital-slices 64" "$here/autoencoders.sh" paper simulated "$data" "$2"
}
reading small "$out/small"
reading paper "$out"

denoising() { # FOLDER WITH THE AUTOENCODER, TAG
    AUTOENCODER=$1/autoencoders/guided/model.safetensors TAG=$2 ROWS="mse leda" START_STEPS=50000 STEPS=25000 \
        "$here/denoisers.sh" paper simulated "$data" "$out"
}
denoising "$out" ""
denoising "$out/small" -small
if [ -n "$pairs" ]; then
    "$python" "$here/tables.py" "$out" "$pairs" --report "$out/report" | tee "$out/tables.md"
fi
