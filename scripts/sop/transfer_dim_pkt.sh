#!/usr/bin/env bash
# PKT, embedding transfer, BN-Inception, 64 from BN-Inception, 512, Stanford Online Products.
# Paper: Passalis, Tefas: Learning Deep Representations with Probabilistic Knowledge Transfer, ECCV 2018.
# Reported: R@1 74.6, R@10 87.3, R@100 94.2 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/sop/transfer_dim_pkt.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train_target.py" \
    --gpu-id 0 --loss PKT --model bn_inception --embedding-size 64 --batch-size 90 --IPC 3 --dataset SOP --view 2 \
    --save 1 --source-ckpt "$root/pretrained_source/bn_inception/SOP_bn_inception_512dim_Proxy_Anchor_ckpt.pth" \
    --epochs 150 "$@"
