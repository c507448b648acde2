#!/usr/bin/env bash
# Classification with CutMix, IDML's baseline, PyramidNet-200, CIFAR-10.
# Paper: Wang, Zheng, Zhu, Zhou, Lu: Introspective Deep Metric Learning, arXiv 2205.04449, 2022.
# Reported: top-1 97.12 (best epoch on the test split).
# Settings: those of CutMix (Yun et al., ICCV 2019).
# Further flags are passed on, and win: scripts/cifar10/cross_entropy_cutmix_pyramidnet200.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/classify.py" \
    --gpu-id -1 --dataset cifar10 --model pyramidnet200 --epochs 300 --weight-decay 1e-4 --mix cutmix \
    --batch-size 64 --lr 0.25 "$@"
