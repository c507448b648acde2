#!/usr/bin/env bash
# Angular, Cars-196: with listwise self-distillation.
# Paper: Zeng, Yang, Wang, Satoh: Improving Generalization of Metric Learning via Listwise Self-distillation, 2022.
# Reported: no figure is at hand for this script; compare lsd_angular.sh with lsd_angular_alone.sh over seeds.
# Further flags are passed on, and win: scripts/run_seeds.sh 5 scripts/cars/lsd_angular.sh --noisy_label --noisy_ratio 0.3
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/train.py" \
    --loss angular_lsd --batch_mining npair --project LSD --group CARS_angular_lsd --seed 0 \
    --gpu 0 --bs 112 --data_sampler class_random --samples_per_class 2 --arch resnet50_frozen_normalize \
    --dataset cars196 --n_epochs 150 --lr 0.00001 --embed_dim 128 --kd_alpha 50.0 --kd_tau 1.0 "$@"
