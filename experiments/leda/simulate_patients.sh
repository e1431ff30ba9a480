#!/usr/bin/env bash
# Scan digital patients at full dose, as normal-dose series for train_denoisers.sh. Continues where it stopped.
#
#     experiments/leda/simulate_patients.sh OUT COUNT [SLICES]
#
# OUT/NUMBER/full holds a series of the abdomen or the chest. Put OUT beside real scans in one folder (symbolic links
# will do) and give that folder as DATA.
set -euo pipefail
out=$1 count=$2 slices=${3:-8}
lowdose=${LOWDOSE:-.venv/bin/lowdose}
regions=(abdomen chest)
for ((number = 0; number < count; number++)); do
    place=$(printf '%s/%04d' "$out" "$number")
    [ -e "$place" ] && continue
    rm -rf "$place.made" "$place.kept"
    mkdir -p "$out"
    # Seeds start at 500,000; those of other digital patients are smaller.
    "$lowdose" simulate --phantom "${regions[number % 2]}" --out "$place.made" --dose 0.25 --seed $((500000 + number)) \
        --slices "$slices"
    mkdir "$place.kept"
    mv "$place.made/full" "$place.kept/"
    mv "$place.kept" "$place"
    rm -rf "$place.made"
done
