#!/usr/bin/env bash
# Relaxed_Contra: relaxed contrastive, Cars-196. Compression, ResNet-50 512 to ResNet-18 128.
# Paper: Kim, Kim, Cho, Kwak: Embedding Transfer with Label Relaxation for Improved Metric Learning, CVPR 2021.
# Reported: R@1 86.0, R@2 91.6, R@4 95.3 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/cars/transfer_compress_relaxed_contra.sh --seed 2 --precision bf16-mixed
set -euo pipefail
here="$(dirname "$0")"
exec "$here/../python" "$here/../../code/train_target.py" \
    --gpu-id 0 --loss Relaxed_Contra --model resnet18 --embedding-size 128 --batch-size 90 --IPC 3 \
    --dataset cars --epochs 90 --view 2 --sigma 1 --save 1 \
    --source-ckpt "$here/../../pretrained_source/resnet50/cars_resnet50_512dim_Proxy_Anchor_ckpt.pth" "$@"
