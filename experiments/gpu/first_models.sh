#!/usr/bin/env bash
# Train RED-CNN, ESAU-Net and the U-Net to convergence on L096's ten pairs, on one CUDA GPU. Resumable: run it again.
#
#     experiments/gpu/first_models.sh L096-3mm-D45f OUT
#
# Each model.safetensors can then be evaluated on L143. The minutes are estimates for one H200 (8 ms a step
# where cutting patches is the limit, 12 ms where RED-CNN's 690 GFLOP are); nobody has measured them yet.
#   unet       30,000 steps of 16 patches   about  4 minutes   no worse than the CPU-trained one (2,500 steps)
#   esau_net   30,000 steps of 16 patches   about  5 minutes   above the CPU-trained one (1,600 steps of 8)
#   red_cnn   100,000 steps of 16 patches   about 20 minutes   about the U-Net's PSNR at D45f (docs/results.md)
# Watch OUT/*/log.csv: with ten slices, a training loss that keeps falling late is overfitting, not learning.
set -euo pipefail
data=$1 out=$2
. "$(dirname "$0")/train_recipe.sh"
fit unet 30000
fit esau_net 30000
fit red_cnn 100000
