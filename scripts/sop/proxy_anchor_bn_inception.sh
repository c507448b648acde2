#!/usr/bin/env bash
# Proxy-Anchor, BN-Inception, 512, Stanford Online Products.
# Paper: Kim, Kim, Cho, Kwak: Proxy Anchor Loss for Deep Metric Learning, CVPR 2020.
# Reported: R@1 79.2, R@10 90.7, R@100 96.2, R@1000 98.6 (best epoch on the test split).
# Further flags are passed on, and win: scripts/sop/proxy_anchor_bn_inception.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train.py" \
    --gpu-id 0 --loss Proxy_Anchor --model bn_inception --embedding-size 512 --dataset SOP --batch-size 180 \
    --lr 6e-4 --warm 1 --bn-freeze 0 --lr-decay-step 20 --lr-decay-gamma 0.25 "$@"
