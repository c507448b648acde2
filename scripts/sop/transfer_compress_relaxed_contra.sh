#!/usr/bin/env bash
# Relaxed_Contra: relaxed contrastive, Stanford Online Products. Compression, ResNet-50 512 to ResNet-18 128.
# Paper: Kim, Kim, Cho, Kwak: Embedding Transfer with Label Relaxation for Improved Metric Learning, CVPR 2021.
# Reported: R@1 78.4, R@10 90.4, R@100 96.1 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/sop/transfer_compress_relaxed_contra.sh --seed 2 --precision bf16-mixed
set -euo pipefail
here="$(dirname "$0")"
exec "$here/../python" "$here/../../code/train_target.py" \
    --gpu-id 0 --loss Relaxed_Contra --model resnet18 --embedding-size 128 --batch-size 90 --IPC 3 \
    --dataset SOP --epochs 150 --view 2 --sigma 1 --save 1 \
    --source-ckpt "$here/../../pretrained_source/resnet50/SOP_resnet50_512dim_Proxy_Anchor_ckpt.pth" "$@"
