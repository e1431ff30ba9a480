#!/usr/bin/env bash
# Measure everything that docs/results.md says on the anatomy network and its words, from the runs of train.py in OUT.
#
#     experiments/anatomy/measure_all.sh OUT LABELLED NORMAL_DOSE
#
# Run it in the repository root. LABELLED: folder of the labelled scan. NORMAL_DOSE: folder with all real slices that
# experiments/slice_words/slices.json names.
set -euo pipefail
out=$1 labelled=$2 normal=$3
python=${PYTHON:-.venv/bin/python}
echo "## Unseen digital patients"
"$python" -m experiments.anatomy.phantom_dice --weights "$out/shipped/model.safetensors" --out "$out/phantoms.csv"
echo "## Real slices, trained on digital patients alone"
"$python" -m experiments.anatomy.scan_dice "$labelled" --weights "$out/fine/model.safetensors"
echo "## The same with noise of 40 HU"
"$python" -m experiments.anatomy.scan_dice "$labelled" --weights "$out/fine/model.safetensors" --noise 40
echo "## Real slices, within the patient: trained on the first 8, measured from the 12th on"
"$python" -m experiments.anatomy.scan_dice "$labelled" --weights "$out/within/model.safetensors" --from 11
echo "## HU and noise, digital against real"
"$python" -m experiments.anatomy.phantom_realism "$labelled" --mas 520
echo "## Words"
"$python" -m experiments.slice_words.produce_words "$normal" "$out/words.json" \
    --weights "$out/shipped/model.safetensors" --picture "$out/words.png"
"$python" -m experiments.slice_words.score_words "$out/words.json"
