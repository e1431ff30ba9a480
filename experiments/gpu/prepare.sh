#!/usr/bin/env bash
# Fill experiments/gpu/inputs/ with what the jobs need on a machine without network: training data and missing packages.
#
#     experiments/gpu/prepare.sh TRAINING_SET [TEACHER]
#
# TRAINING_SET: the file that 'python -m experiments.furnace.training_set build' wrote, at most 24 MiB. TEACHER: weights
# of an autoencoder for the job leda_denoisers, by default the shipped one. Needs the network, for the wheels below: pure
# Python packages, which are used where the machine lacks them. The checkout and the inputs may be 60 MiB together.
set -euo pipefail
cd "$(dirname "$0")/../.."
training_set=$1 teacher=${2:-}
inputs=experiments/gpu/inputs python=${PYTHON:-.venv/bin/python}
rm -rf "$inputs"
mkdir -p "$inputs/wheels"
cp "$training_set" "$inputs/training_set.zip"
[ -z "$teacher" ] || cp "$teacher" "$inputs/teacher.safetensors"
"$python" -m pip download --quiet --no-deps --only-binary :all: --python-version 3.12 --implementation py --abi none \
    --platform any --dest "$inputs/wheels" typer click shellingham annotated-doc rich markdown-it-py mdurl pygments \
    lightning-fabric lightning-utilities
checkout=$(git archive HEAD | wc -c) brought=$(find "$inputs" -type f -printf '%s\n' | awk '{sum += $1} END {print sum}')
echo "checkout $((checkout >> 20)) MiB, inputs $((brought >> 20)) MiB"
[ $((checkout + brought)) -le $((60 << 20)) ] || { echo "together more than 60 MiB: take a smaller training set" >&2; exit 1; }
