#!/usr/bin/env bash
# IDML: Proxy-Anchor with the introspective metric, ResNet-50, 512, Stanford Online Products.
# Paper: Wang, Zheng, Zhu, Zhou, Lu: Introspective Deep Metric Learning, arXiv 2205.04449, 2022.
# Reported: R@1 81.5, R@10 92.7, NMI 92.3, RP 54.8, MAP@R 51.3 (best epoch on the test split).
# NOTE: the published command normalises uncertainties, from which they learn nothing: `--uncertainty-norm 1`.
# Further flags are passed on, and win: scripts/sop/idml_resnet50.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train.py" \
    --introspective --gpu -1 --loss Proxy_Anchor --model resnet50 --embedding-size 512 --batch-size 120 \
    --dataset SOP --warm 5 --bn-freeze 1 --lr 6e-4 --lr-decay-step 10 --lr-decay-gamma 0.25 "$@"
