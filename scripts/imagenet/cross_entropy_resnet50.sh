#!/usr/bin/env bash
# Classification, IDML's baseline, ResNet-50, ImageNet-1K.
# Paper: Wang, Zheng, Zhu, Zhou, Lu: Introspective Deep Metric Learning, arXiv 2205.04449, 2022.
# Reported: top-1 76.32 (best epoch on the test split).
# Settings: those of CutMix (Yun et al., ICCV 2019).
# Further flags are passed on, and win: scripts/imagenet/cross_entropy_resnet50.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/classify.py" \
    --gpu-id -1 --dataset imagenet --model resnet50 --epochs 300 --weight-decay 1e-4 --batch-size 256 --lr 0.1 "$@"
