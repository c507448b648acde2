#!/usr/bin/env bash
# RKD, embedding transfer, ResNet-18, 128 from ResNet-50, 512, Stanford Online Products.
# Paper: Park, Kim, Lu, Cho: Relational Knowledge Distillation, CVPR 2019.
# Reported: R@1 75.7, R@10 88.4, R@100 95.1 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/sop/transfer_compress_rkd.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train_target.py" \
    --gpu-id 0 --loss RKD --model resnet18 --embedding-size 128 --batch-size 90 --IPC 3 --dataset SOP --view 2 \
    --save 1 --source-ckpt "$root/pretrained_source/resnet50/SOP_resnet50_512dim_Proxy_Anchor_ckpt.pth" --epochs 150 "$@"
