#!/usr/bin/env bash
# Relaxed_MS: relaxed multi-similarity, CUB-200-2011. Dimensionality reduction, BN-Inception 512 to BN-Inception 64.
# Paper: Kim, Kim, Cho, Kwak: Embedding Transfer with Label Relaxation for Improved Metric Learning, CVPR 2021.
# Reported: no figure for this loss.
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/cub/transfer_dim_relaxed_ms.sh --seed 2 --precision bf16-mixed
set -euo pipefail
here="$(dirname "$0")"
exec "$here/../python" "$here/../../code/train_target.py" \
    --gpu-id 0 --loss Relaxed_MS --model bn_inception --embedding-size 64 --batch-size 90 --IPC 3 \
    --dataset cub --epochs 90 --view 2 --sigma 1 --save 1 \
    --source-ckpt "$here/../../pretrained_source/bn_inception/cub_bn_inception_512dim_Proxy_Anchor_ckpt.pth" "$@"
