#!/usr/bin/env bash
# Proxy-Anchor, ResNet-50, 512, CUB-200-2011.
# Paper: Kim, Kim, Cho, Kwak: Proxy Anchor Loss for Deep Metric Learning, CVPR 2020.
# Reported: R@1 69.9, R@2 79.6, R@4 86.6, R@8 91.4 (best epoch on the test split).
# Further flags are passed on, and win: scripts/cub/proxy_anchor_resnet50.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train.py" \
    --gpu-id 0 --loss Proxy_Anchor --model resnet50 --embedding-size 512 --dataset cub --batch-size 120 --lr 1e-4 \
    --warm 5 --bn-freeze 1 --lr-decay-step 5 "$@"
