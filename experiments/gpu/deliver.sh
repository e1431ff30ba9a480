#!/usr/bin/env bash
# Copy what is worth keeping of each run in WORK to RESULTS: weights, log and run.json, in at most eight files of 15 MiB.
#
#     experiments/gpu/deliver.sh WORK RESULTS
#
# Weights of more than 14 MiB are cut into NAME.safetensors.00, .01, ...; 'cat NAME.safetensors.* >NAME.safetensors'
# joins them. Logs and descriptions of all runs are one file, runs.tar.gz.
set -euo pipefail
work=$1 results=$2
mkdir -p "$results"
partial=$results/.partial.$$
trap 'rm -f "$partial"' EXIT
for weights in "$work"/*/model.safetensors; do
    [ -e "$weights" ] || continue
    name=$(basename "$(dirname "$weights")")
    if [ "$(stat -c %s "$weights")" -le $((14 << 20)) ]; then
        cp "$weights" "$partial" && mv "$partial" "$results/$name.safetensors"
    else
        split -b 14m -d "$weights" "$results/$name.safetensors."
    fi
done
# tar ends with 1 where a file grew while it was read: a log of the run that goes on.
(cd "$work" && find . -maxdepth 2 \( -name log.csv -o -name run.json -o -name '*.md' -o -name engines.csv \)) |
    tar -czf "$partial" -C "$work" -T - 2>/dev/null || [ $? = 1 ]
mv "$partial" "$results/runs.tar.gz"
