#!/usr/bin/env bash
# Every figure of the anatomy network and its words in docs/results.md, from the runs of train.py in OUT.
#
#     benchmarks/anatomy/measure.sh OUT LABELLED NORMAL_DOSE
#
# LABELLED: the scan with labels; NORMAL_DOSE: the folder of all real slices that benchmarks/words/slices.json names.
set -euo pipefail
out=$1 labelled=$2 normal=$3
here=$(dirname "$0")
python=${PYTHON:-.venv/bin/python}
echo "## Digital patients never seen"
"$python" "$here/phantoms.py" --weights "$out/shipped/model.safetensors" --out "$out/phantoms.csv"
echo "## Real slices, trained on digital patients alone"
"$python" "$here/scans.py" "$labelled" --weights "$out/fine/model.safetensors"
echo "## The same with noise of 40 HU"
"$python" "$here/scans.py" "$labelled" --weights "$out/fine/model.safetensors" --noise 40
echo "## Real slices, within the patient: trained on the first 8, judged from the 12th on"
"$python" "$here/scans.py" "$labelled" --weights "$out/within/model.safetensors" --from 11
echo "## HU and noise, digital against real"
"$python" "$here/reality.py" "$labelled" --mas 520
echo "## Words"
"$python" "$here/../words/produce.py" "$normal" "$out/words.json" --weights "$out/shipped/model.safetensors" \
    --picture "$out/words.png"
"$python" "$here/../words/judge.py" "$out/words.json"
