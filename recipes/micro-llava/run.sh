#!/usr/bin/env bash
# The demo: from text safety data to aligned models, measured. `make demo` runs it: ten minutes on two cores, no network.
# Type it again: what is complete is left alone, what was killed continues.
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
export LIMIT=${LIMIT:-60} # items of every task: full.sh takes all

stage prepare prepare textset=micro name=micro
for modality in video audio; do # the same samples through clips and sounds: rows of the report's embeddings
    stage "optimize $modality" optimize "+model=micro-$modality" "${optim[@]}" samples=micro limit="$LIMIT" "name=$modality"
done
base_model 0
datasets 0 text sea real blank shuffled-0
stage base evaluate benchmark=micro "${model[@]}" adapter=none name=base-test limit="$LIMIT"
# name, dataset, recipe, seed, split; the long ones first, so that two lanes end together
all <<'ARMS'
SEA-DPO b0-sea micro-dpo 0 test
text-DPO b0-text micro-dpo 0 test
SEA-SFT b0-sea micro-sft 0 test
blank-SFT b0-blank micro-sft 0 test
shuffled-SFT b0-shuffled-0 micro-sft 0 test
real-SFT b0-real micro-sft 0 test
text-SFT b0-text micro-sft 0 test
ARMS

stage report report evaluations=['*-test'] stores=[video,audio] expected=recipes/micro-llava/expected.json
