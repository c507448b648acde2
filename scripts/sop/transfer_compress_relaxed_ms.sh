#!/usr/bin/env bash
# Relaxed_MS, embedding transfer, ResNet-18, 128 from ResNet-50, 512, Stanford Online Products.
# Paper: Kim, Kim, Cho, Kwak: Embedding Transfer with Label Relaxation for Improved Metric Learning, CVPR 2021.
# Reported: none for this setting.
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/sop/transfer_compress_relaxed_ms.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train_target.py" \
    --gpu-id 0 --loss Relaxed_MS --model resnet18 --embedding-size 128 --batch-size 90 --IPC 3 --dataset SOP \
    --view 2 --save 1 --source-ckpt "$root/pretrained_source/resnet50/SOP_resnet50_512dim_Proxy_Anchor_ckpt.pth" \
    --epochs 150 --sigma 1 "$@"
