#!/usr/bin/env bash
# Proxy-Anchor, ResNet-50, 512-d, Cars-196.
# Paper: Kim, Kim, Cho, Kwak: Proxy Anchor Loss for Deep Metric Learning, CVPR 2020.
# Reported: R@1 87.7, R@2 92.7, R@4 95.5, R@8 97.3 (best epoch on the test split).
# Further flags are passed on, and win: scripts/cars/proxy_anchor_resnet50.sh --seed 2 --precision bf16-mixed
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/train.py" \
    --gpu-id 0 --loss Proxy_Anchor --model resnet50 --embedding-size 512 --batch-size 120 \
    --lr 1e-4 --dataset cars --warm 5 --bn-freeze 1 --lr-decay-step 10 "$@"
