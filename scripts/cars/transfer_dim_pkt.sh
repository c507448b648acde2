#!/usr/bin/env bash
# PKT: probabilistic transfer, Cars-196. Dimensionality reduction, BN-Inception 512 to BN-Inception 64.
# Paper: Passalis, Tefas: Learning Deep Representations with Probabilistic Knowledge Transfer, ECCV 2018.
# Reported: R@1 82.2, R@2 88.7, R@4 93.5 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/cars/transfer_dim_pkt.sh --seed 2 --precision bf16-mixed
set -euo pipefail
here="$(dirname "$0")"
exec "$here/../python" "$here/../../code/train_target.py" \
    --gpu-id 0 --loss PKT --model bn_inception --embedding-size 64 --batch-size 90 --IPC 3 \
    --dataset cars --epochs 90 --view 2 --save 1 \
    --source-ckpt "$here/../../pretrained_source/bn_inception/cars_bn_inception_512dim_Proxy_Anchor_ckpt.pth" "$@"
