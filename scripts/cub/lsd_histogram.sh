#!/usr/bin/env bash
# Histogram, CUB-200-2011: with listwise self-distillation.
# Paper: Zeng, Yang, Wang, Satoh: Improving Generalization of Metric Learning via Listwise Self-distillation, 2022.
# Reported: no figure is at hand for this script; compare lsd_histogram.sh with lsd_histogram_alone.sh over seeds.
# Further flags are passed on, and win: scripts/run_seeds.sh 5 scripts/cub/lsd_histogram.sh --noisy_label --noisy_ratio 0.3
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/train.py" \
    --loss histogram_lsd --project LSD --group CUB_histogram_lsd --seed 0 \
    --gpu 0 --bs 112 --data_sampler class_random --samples_per_class 2 --arch resnet50_frozen_normalize \
    --dataset cub200 --n_epochs 150 --lr 0.00001 --embed_dim 128 --kd_alpha 50.0 --kd_tau 1.0 "$@"
