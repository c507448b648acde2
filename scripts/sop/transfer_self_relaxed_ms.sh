#!/usr/bin/env bash
# Relaxed_MS, embedding transfer, BN-Inception, 512 from BN-Inception, 512, Stanford Online Products.
# Paper: Kim, Kim, Cho, Kwak: Embedding Transfer with Label Relaxation for Improved Metric Learning, CVPR 2021.
# Reported: none for this setting.
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/sop/transfer_self_relaxed_ms.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train_target.py" \
    --gpu-id 0 --loss Relaxed_MS --model bn_inception --embedding-size 512 --batch-size 90 --IPC 3 --dataset SOP \
    --view 2 --save 1 \
    --source-ckpt "$root/pretrained_source/bn_inception/SOP_bn_inception_512dim_Proxy_Anchor_ckpt.pth" --epochs 150 \
    --sigma 1 "$@"
