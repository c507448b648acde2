#!/usr/bin/env bash
# DarkRank: ranks of neighbours, Stanford Online Products. Dimensionality reduction, BN-Inception 512 to BN-Inception 64.
# Paper: Chen, Wang, Zhang: DarkRank: Accelerating Deep Metric Learning via Cross Sample Similarities Transfer, AAAI 2018.
# Reported: R@1 73.9, R@10 87.5, R@100 94.8 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/sop/transfer_dim_darkrank.sh --seed 2 --precision bf16-mixed
set -euo pipefail
here="$(dirname "$0")"
exec "$here/../python" "$here/../../code/train_target.py" \
    --gpu-id 0 --loss DarkRank --model bn_inception --embedding-size 64 --batch-size 90 --IPC 3 \
    --dataset SOP --epochs 150 --view 2 --save 1 \
    --source-ckpt "$here/../../pretrained_source/bn_inception/SOP_bn_inception_512dim_Proxy_Anchor_ckpt.pth" "$@"
