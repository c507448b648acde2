#!/usr/bin/env bash
# Classification with Mixup, PyramidNet-200 (alpha 240), CIFAR-100.
# Paper: Wang, Zheng, Zhu, Zhou, Lu: Introspective Deep Metric Learning, arXiv 2205.04449, 2022 (its baseline).
# Reported: top-1 84.22 (best epoch on the test split).
# Settings: those of CutMix (Yun et al., ICCV 2019); no command with mixup is published.
# Further flags are passed on, and win: scripts/cifar100/cross_entropy_mixup_pyramidnet200.sh --seed 2 --precision bf16-mixed
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/classify.py" \
    --gpu-id -1 --dataset cifar100 --model pyramidnet200 --mix mixup \
    --epochs 300 --batch-size 64 --lr 0.25 --weight-decay 1e-4 "$@"
