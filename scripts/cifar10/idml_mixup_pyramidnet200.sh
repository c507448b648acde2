#!/usr/bin/env bash
# Introspective classification with mixup, PyramidNet-200, CIFAR-10.
# Paper: Wang, Zheng, Zhu, Zhou, Lu: Introspective Deep Metric Learning, arXiv 2205.04449, 2022.
# Reported: top-1 97.13 (best epoch on the test split).
# Settings: those of the published command, which are CutMix's (Yun et al., ICCV 2019).
# NOTE: no command with mixup is published.
# Further flags are passed on, and win: scripts/cifar10/idml_mixup_pyramidnet200.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/classify.py" \
    --gpu-id -1 --dataset cifar10 --model pyramidnet200 --introspective --epochs 300 --weight-decay 1e-4 --mix mixup \
    --batch-size 64 --lr 0.25 "$@"
