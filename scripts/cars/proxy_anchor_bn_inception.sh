#!/usr/bin/env bash
# Proxy-Anchor, BN-Inception, 512, Cars-196.
# Paper: Kim, Kim, Cho, Kwak: Proxy Anchor Loss for Deep Metric Learning, CVPR 2020.
# Reported: R@1 86.4, R@2 91.9, R@4 95.0, R@8 97.0 (best epoch on the test split).
# Further flags are passed on, and win: scripts/cars/proxy_anchor_bn_inception.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train.py" \
    --gpu-id 0 --loss Proxy_Anchor --model bn_inception --embedding-size 512 --dataset cars --batch-size 180 \
    --lr 1e-4 --warm 1 --bn-freeze 1 --lr-decay-step 20 "$@"
