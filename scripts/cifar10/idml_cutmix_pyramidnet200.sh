#!/usr/bin/env bash
# Introspective classification with CutMix, PyramidNet-200 (alpha 240), CIFAR-10.
# Paper: Wang, Zheng, Zhu, Zhou, Lu: Introspective Deep Metric Learning, arXiv 2205.04449, 2022.
# Reported: top-1 97.32 (best epoch on the test split).
# Settings: those of the published command, which are CutMix's (Yun et al., ICCV 2019).
# Further flags are passed on, and win: scripts/cifar10/idml_cutmix_pyramidnet200.sh --seed 2 --precision bf16-mixed
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/classify.py" \
    --gpu-id -1 --dataset cifar10 --model pyramidnet200 --introspective --mix cutmix \
    --epochs 300 --batch-size 64 --lr 0.25 --weight-decay 1e-4 "$@"
