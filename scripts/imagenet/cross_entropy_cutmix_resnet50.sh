#!/usr/bin/env bash
# Classification with CutMix, ResNet-50, ImageNet-1K.
# Paper: Wang, Zheng, Zhu, Zhou, Lu: Introspective Deep Metric Learning, arXiv 2205.04449, 2022 (its baseline).
# Reported: top-1 78.60 (best epoch on the test split).
# Settings: those of CutMix (Yun et al., ICCV 2019).
# Further flags are passed on, and win: scripts/imagenet/cross_entropy_cutmix_resnet50.sh --seed 2 --precision bf16-mixed
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/classify.py" \
    --gpu-id -1 --dataset imagenet --model resnet50 --mix cutmix \
    --epochs 300 --batch-size 256 --lr 0.1 --weight-decay 1e-4 "$@"
