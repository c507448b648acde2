#!/usr/bin/env bash
# SoftTriple, Cars-196: alone, the baseline of self-distillation.
# Paper: Zeng, Yang, Wang, Satoh: Improving Generalization of Metric Learning via Listwise Self-distillation, 2022.
# Reported: no figure is at hand for this script; compare lsd_softtriplet_alone.sh with lsd_softtriplet.sh over seeds.
# Further flags are passed on, and win: scripts/run_seeds.sh 5 scripts/cars/lsd_softtriplet_alone.sh --noisy_label --noisy_ratio 0.3
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/train.py" \
    --loss softtriplet --project LSD --group CARS_softtriplet --seed 0 \
    --gpu 0 --bs 112 --data_sampler class_random --samples_per_class 2 --arch resnet50_frozen_normalize \
    --dataset cars196 --n_epochs 150 --lr 0.00001 --embed_dim 128 "$@"
