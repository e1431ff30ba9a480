# Sourced by other jobs: fit RECIPE STEPS [OPTION ...] trains on CUDA into $out/RECIPE, or continues the run there.
lowdose=${LOWDOSE:-.venv/bin/lowdose}
fit() {
    local recipe=$1 steps=$2 again=()
    shift 2
    [ -e "$out/$recipe/state.pt" ] && again=(--resume)
    "$lowdose" train "$recipe" --data "$data" --out "$out/$recipe" --device cuda --set "steps=$steps" --set batch=16 \
        --set checkpoint_every=1000 "$@" "${again[@]}"
}
