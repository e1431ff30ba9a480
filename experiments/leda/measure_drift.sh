#!/usr/bin/env bash
# Calibrate the limits of an autoencoder on one side of the patients and measure its drift on the other.
#
#     experiments/leda/measure_drift.sh AUTOENCODER SHARED_CT OUT [SLICES]
#
# Writes OUT/calibration.json, OUT/held_out.json, OUT/autoencoder.safetensors (the autoencoder with its limits) and
# OUT/drift.md (tables). SLICES of each series, 4 if left out; 40 give some 200 slices, which take an hour or two.
set -euo pipefail
autoencoder=$1 shared=$2 out=$3 each=${4:-4}
normal=$shared/normal-dose
calibration=("$normal/rider-chest-ge" "$normal/kits-abdomen-siemens")
held_out=("$normal/totalsegmentator-abdomen-siemens/dicom" "$normal"/ny-sbu-chest/*/*.dcm)
export OMP_NUM_THREADS=${OMP_NUM_THREADS:-1}
mkdir -p "$out"
python -m experiments.leda.drift_detection measure "$autoencoder" --out "$out/calibration.json" --seeds 1 \
    --each "$each" --real "${calibration[@]}"
python -m experiments.leda.calibrate_limits "$autoencoder" "$out/autoencoder.safetensors" "$out/calibration.json" \
    --each "$((4 * each))" --real "${calibration[@]}" | tee "$out/limits.md"
python -m experiments.leda.drift_detection measure "$out/autoencoder.safetensors" --out "$out/held_out.json" \
    --seeds 61 --each "$each" --real "${held_out[@]}"
python -m experiments.leda.drift_detection table "$out/autoencoder.safetensors" "$out/calibration.json" \
    "$out/held_out.json" | tee "$out/drift.md"
