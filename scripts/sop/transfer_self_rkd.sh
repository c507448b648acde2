#!/usr/bin/env bash
# RKD: relational distillation, Stanford Online Products. Self-transfer, BN-Inception 512 to BN-Inception 512.
# Paper: Park, Kim, Lu, Cho: Relational Knowledge Distillation, CVPR 2019.
# Reported: R@1 78.5, R@10 90.2, R@100 96.0 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/sop/transfer_self_rkd.sh --seed 2 --precision bf16-mixed
set -euo pipefail
here="$(dirname "$0")"
exec "$here/../python" "$here/../../code/train_target.py" \
    --gpu-id 0 --loss RKD --model bn_inception --embedding-size 512 --batch-size 90 --IPC 3 \
    --dataset SOP --epochs 150 --view 2 --save 1 \
    --source-ckpt "$here/../../pretrained_source/bn_inception/SOP_bn_inception_512dim_Proxy_Anchor_ckpt.pth" "$@"
