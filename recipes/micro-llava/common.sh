# What run.sh, full.sh and choose.sh share; sourced, not run. Every command is a stage's own and may be typed by hand.
# A stage that is complete says so and does nothing, a killed one continues: so the scripts hold no state of their own.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."
RUNS=${RUNS:-runs}
JOBS=${JOBS:-2} # arms side by side, one thread each
PYTHON=${PYTHON:-$([ -x .venv/bin/python ] && echo .venv/bin/python || echo python)}
export RUNS PYTHON HF_HUB_OFFLINE=1
optim=(optim.step_size=0.02) # what docs/results.md was measured with; the default has moved since (docs/performance.md)

# stage LABEL COMMAND [OVERRIDE...]: one stage, its lines marked with the label
stage() {
    local label=$1 command=$2
    shift 2
    "$PYTHON" -m "sea.$command" runs="$RUNS" "$@" 2>&1 | sed -u "s|^|[$label] |"
}

# base_model NUMBER: `model` chooses it; 0 is the one in the package, others are trained here (a quarter of an hour each)
base_model() {
    model=(+model=micro-llava)
    [ "$1" = 0 ] && return
    local folder=$RUNS/models/micro-$1
    [ -f "$folder/config.json" ] || "$PYTHON" -m sea.micro seed="$1" out="$folder"
    model+=(model.name="micro-llava-$1" model.id="$folder")
}

# datasets NUMBER DATASET...: the embeddings of a base model, and the rows made of them (text, sea, real, or a control's name)
datasets() {
    local base=$1 name
    shift
    stage "optimize $base" optimize "${model[@]}" "${optim[@]}" samples=micro name="b$base"
    stage "encode $base" encode "${model[@]}" samples=micro name="b$base"
    for name in "$@"; do
        case $name in
        text) stage "dataset $base" dataset rows=text samples=micro name="b$base-text" "${model[@]}" ;;
        sea) stage "dataset $base" dataset store="b$base" name="b$base-sea" ;;
        real) stage "dataset $base" dataset rows=real+text real="b$base" name="b$base-real" ;;
        *-*) stage "dataset $base" dataset store="b$base" name="b$base-$name" control="${name%-*}" seed="${name#*-}" ;;
        *) stage "dataset $base" dataset store="b$base" name="b$base-$name" control="$name" ;;
        esac
    done
}

# arm NAME DATASET RECIPE SEED SPLIT [OVERRIDE...]: train one arm and evaluate it
arm() {
    local name=$1 dataset=$2 recipe=$3 seed=$4 split=$5
    shift 5
    stage "$name" train recipe="$recipe" dataset="$dataset" seed="$seed" name="$name" "$@"
    stage "$name" evaluate benchmark=micro benchmark.split="$split" adapter="$name" name="$name-$split" ${LIMIT:+limit=$LIMIT}
}

# all: runs the arms on standard input, one a line, JOBS at a time
all() {
    OMP_NUM_THREADS=1 xargs -P "$JOBS" -I {} bash -c 'source recipes/micro-llava/common.sh && arm {}'
}
