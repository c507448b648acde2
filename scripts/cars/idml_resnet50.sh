#!/usr/bin/env bash
# IDML: Proxy-Anchor with the introspective metric, ResNet-50, 512, Cars-196.
# Paper: Wang, Zheng, Zhu, Zhou, Lu: Introspective Deep Metric Learning, arXiv 2205.04449, 2022.
# Reported: R@1 90.6, R@2 94.5, R@4 97.1, NMI 76.9, RP 42.6, MAP@R 33.8 (best epoch on the test split).
# NOTE: the published command normalises uncertainties, from which they learn nothing: `--uncertainty-norm 1`.
# Further flags are passed on, and win: scripts/cars/idml_resnet50.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train.py" \
    --introspective --gpu -1 --loss Proxy_Anchor --model resnet50 --embedding-size 512 --batch-size 120 \
    --dataset cars --warm 5 --bn-freeze 1 --lr 2.5e-4 --lr-decay-step 10 "$@"
