#!/usr/bin/env bash
# docs/results.md: every arm and control on two base models and five seeds of adapter and data order, on the test split.
# The settings were chosen on the development split (choose.sh). Hours; run again after a kill, it continues.
#   JOBS=4 recipes/micro-llava/full.sh
RUNS=${RUNS:-runs/full}
source "$(dirname "${BASH_SOURCE[0]}")/common.sh"
BASES=${BASES:-0 1}
SEEDS=${SEEDS:-0 1 2 3 4}
SFT_ARMS=${SFT_ARMS:-text sea none blank random shuffled real}
DPO_ARMS=${DPO_ARMS:-text sea none blank random shuffled real}

stage prepare prepare textset=micro name=micro
for base in $BASES; do
    base_model "$base"
    stage "base $base" evaluate benchmark=micro "${model[@]}" adapter=none name="b$base-base-test" ${LIMIT:+limit=$LIMIT}
    chance=$(for seed in $SEEDS; do echo "random-$seed shuffled-$seed"; done) # these controls draw anew for each seed
    datasets "$base" text sea none blank real $chance
done

for seed in $SEEDS; do
    for base in $BASES; do
        for trainer in sft dpo; do
            arms=$SFT_ARMS
            [ $trainer = sft ] || arms=$DPO_ARMS
            for arm in $arms; do
                dataset=b$base-$arm
                case $arm in random | shuffled) dataset+=-$seed ;; esac
                echo "b$base-$arm-$trainer-$seed $dataset micro-$trainer $seed test"
            done
        done
    done
done | all

stage report report evaluations=['b*-test']
