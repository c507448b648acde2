#!/usr/bin/env bash
# Lifted structure with listwise self-distillation, ResNet-50, frozen, 128, Cars-196.
# Paper: Zeng, Yang, Wang, Satoh: Improving Generalization of Metric Learning via Listwise Self-distillation, 2022.
# Reported: none for this setting.
# Compare over seeds with and without _alone in the name: scripts/run_seeds.sh 5 SCRIPT, then code/report.py.
# Further flags are passed on, and win: scripts/cars/lsd_lifted.sh --noisy_label --noisy_ratio 0.3
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train.py" \
    --loss lifted_lsd --project LSD --group CARS_lifted_lsd --seed 0 --gpu 0 --bs 112 --data_sampler class_random \
    --samples_per_class 2 --arch resnet50_frozen_normalize --dataset cars196 --n_epochs 150 --lr 0.00001 \
    --embed_dim 128 --kd_alpha 50.0 --kd_tau 1.0 --batch_mining lifted "$@"
