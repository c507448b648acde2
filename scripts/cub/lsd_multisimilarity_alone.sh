#!/usr/bin/env bash
# Multi-similarity, CUB-200-2011: alone, the baseline of self-distillation.
# Paper: Zeng, Yang, Wang, Satoh: Improving Generalization of Metric Learning via Listwise Self-distillation, 2022.
# Reported: no figure is at hand for this script; compare lsd_multisimilarity_alone.sh with lsd_multisimilarity.sh over seeds.
# Further flags are passed on, and win: scripts/run_seeds.sh 5 scripts/cub/lsd_multisimilarity_alone.sh --noisy_label --noisy_ratio 0.3
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/train.py" \
    --loss multisimilarity --project LSD --group CUB_multisimilarity --seed 0 \
    --gpu 0 --bs 112 --data_sampler class_random --samples_per_class 2 --arch resnet50_frozen_normalize \
    --dataset cub200 --n_epochs 150 --lr 0.00001 --embed_dim 128 "$@"
