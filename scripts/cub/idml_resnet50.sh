#!/usr/bin/env bash
# IDML: Proxy-Anchor with the introspective metric, ResNet-50, 512, CUB-200-2011.
# Paper: Wang, Zheng, Zhu, Zhou, Lu: Introspective Deep Metric Learning, arXiv 2205.04449, 2022.
# Reported: R@1 70.7, R@2 80.2, R@4 87.9, NMI 73.5, RP 39.3, MAP@R 28.4 (best epoch on the test split).
# NOTE: the published command normalises uncertainties, from which they learn nothing: `--uncertainty-norm 1`.
# Further flags are passed on, and win: scripts/cub/idml_resnet50.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train.py" \
    --introspective --gpu -1 --loss Proxy_Anchor --model resnet50 --embedding-size 512 --batch-size 120 \
    --dataset cub --warm 5 --bn-freeze 1 --lr 6e-4 --lr-decay-step 5 "$@"
