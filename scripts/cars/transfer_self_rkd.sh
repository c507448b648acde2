#!/usr/bin/env bash
# RKD, embedding transfer, BN-Inception, 512 from BN-Inception, 512, Cars-196.
# Paper: Park, Kim, Lu, Cho: Relational Knowledge Distillation, CVPR 2019.
# Reported: R@1 88.9, R@2 93.5, R@4 96.4 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/cars/transfer_self_rkd.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train_target.py" \
    --gpu-id 0 --loss RKD --model bn_inception --embedding-size 512 --batch-size 90 --IPC 3 --dataset cars --view 2 \
    --save 1 --source-ckpt "$root/pretrained_source/bn_inception/cars_bn_inception_512dim_Proxy_Anchor_ckpt.pth" \
    --epochs 90 "$@"
