# Sourced by the training scripts: sizes of the runs, and a function that trains, resumes or skips one run.
#
# Environment: LOWDOSE (the command), DEVICE (auto), BANK and PATIENTS (digital patients of the autoencoder), NOISE (the
# noise bank), every setting below that has ':=', and MORE (further options for every training).
lowdose=${LOWDOSE:-.venv/bin/lowdose}
device=${DEVICE:-auto}
read -ra more <<<"${MORE:-}"

sizes() { # SIZE: the settings of 'cpu' (hours on two cores) or 'paper' (one large GPU)
    case $1 in
        cpu)
            : "${NETWORKS:=red_cnn:channels=32}" "${AUTOENCODER_SIZE:=small}"
            : "${START_STEPS:=1500}" "${STEPS:=600}" "${BATCH:=4}" "${PATCH:=128}" "${START_RATE:=3e-4}" "${RATE:=1e-4}"
            : "${AUTOENCODER_STEPS:=4600}" "${AUTOENCODER_BATCH:=4}" "${SIDE:=256}" "${ADVERSARIAL_START:=3400}"
            : "${PATIENTS:=184}" "${EVERY:=100}"
            # Few steps, hence a larger learning rate than the recipe's. The perceptual loss and the discriminator cost most
            # of a step.
            autoencoder_settings=(learning_rate=1e-3 beta1=0.9 beta2=0.99 warmup=100 soft_steps=400 ema=0.998
                perceptual_weight=0.02 discriminator_width=32)
            ;;
        paper)
            # 480 and not 512: patches keep a margin of 8 pixels to each edge, and 496 pixels would give 31 latents a side.
            : "${NETWORKS:=red_cnn esau_net}" "${AUTOENCODER_SIZE:=paper}"
            : "${START_STEPS:=100000}" "${STEPS:=50000}" "${BATCH:=4}" "${PATCH:=480}" "${START_RATE:=1e-4}" "${RATE:=1e-4}"
            : "${AUTOENCODER_STEPS:=160000}" "${AUTOENCODER_BATCH:=4}" "${SIDE:=256}" "${ADVERSARIAL_START:=12000}"
            : "${PATIENTS:=1000}" "${EVERY:=2000}"
            autoencoder_settings=()
            ;;
        *) echo "size '$1': choose cpu or paper" >&2 && return 2 ;;
    esac
}

fit() { # FOLDER RECIPE OPTION ...
    local folder=$1 recipe=$2 again=()
    shift 2
    [ -e "$folder/complete" ] && return
    [ -e "$folder/state.pt" ] && again=(--resume)
    echo "== $folder"
    "$lowdose" train "$recipe" --out "$folder" --device "$device" --set "checkpoint_every=$EVERY" \
        --set "validate_every=$EVERY" "$@" "${more[@]}" "${again[@]}"
    touch "$folder/complete"
}

name_of() { # the folder name of a network: red_cnn:channels=32 -> red_cnn-channels-32
    echo "${1//[:,=]/-}"
}
