#!/usr/bin/env bash
# FitNet: feature maps, CUB-200-2011. Compression, ResNet-50 512 to ResNet-18 128.
# Paper: Romero et al.: FitNets: Hints for Thin Deep Nets, ICLR 2015.
# Reported: R@1 61.0, R@2 72.2, R@4 81.1 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/cub/transfer_compress_fitnet.sh --seed 2 --precision bf16-mixed
set -euo pipefail
here="$(dirname "$0")"
exec "$here/../python" "$here/../../code/train_target.py" \
    --gpu-id 0 --loss FitNet --model resnet18 --embedding-size 128 --batch-size 90 --IPC 3 \
    --dataset cub --epochs 90 --view 2 --save 1 \
    --source-ckpt "$here/../../pretrained_source/resnet50/cub_resnet50_512dim_Proxy_Anchor_ckpt.pth" "$@"
