#!/usr/bin/env bash
# Relaxed_Contra, embedding transfer, BN-Inception, 64 from BN-Inception, 512, CUB-200-2011.
# Paper: Kim, Kim, Cho, Kwak: Embedding Transfer with Label Relaxation for Improved Metric Learning, CVPR 2021.
# Reported: R@1 67.4, R@2 78.0, R@4 85.9 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/cub/transfer_dim_relaxed_contra.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train_target.py" \
    --gpu-id 0 --loss Relaxed_Contra --model bn_inception --embedding-size 64 --batch-size 90 --IPC 3 --dataset cub \
    --view 2 --save 1 \
    --source-ckpt "$root/pretrained_source/bn_inception/cub_bn_inception_512dim_Proxy_Anchor_ckpt.pth" --epochs 90 \
    --sigma 1 "$@"
