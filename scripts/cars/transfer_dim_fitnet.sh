#!/usr/bin/env bash
# FitNet: feature maps, Cars-196. Dimensionality reduction, BN-Inception 512 to BN-Inception 64.
# Paper: Romero et al.: FitNets: Hints for Thin Deep Nets, ICLR 2015.
# Reported: R@1 81.2, R@2 87.7, R@4 92.5 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/cars/transfer_dim_fitnet.sh --seed 2 --precision bf16-mixed
set -euo pipefail
here="$(dirname "$0")"
exec "$here/../python" "$here/../../code/train_target.py" \
    --gpu-id 0 --loss FitNet --model bn_inception --embedding-size 64 --batch-size 90 --IPC 3 \
    --dataset cars --epochs 90 --view 2 --save 1 \
    --source-ckpt "$here/../../pretrained_source/bn_inception/cars_bn_inception_512dim_Proxy_Anchor_ckpt.pth" "$@"
