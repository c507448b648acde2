#!/usr/bin/env bash
# PKT, embedding transfer, BN-Inception, 512 from BN-Inception, 512, CUB-200-2011.
# Paper: Passalis, Tefas: Learning Deep Representations with Probabilistic Knowledge Transfer, ECCV 2018.
# Reported: R@1 69.1, R@2 78.8, R@4 86.4 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/cub/transfer_self_pkt.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train_target.py" \
    --gpu-id 0 --loss PKT --model bn_inception --embedding-size 512 --batch-size 90 --IPC 3 --dataset cub --view 2 \
    --save 1 --source-ckpt "$root/pretrained_source/bn_inception/cub_bn_inception_512dim_Proxy_Anchor_ckpt.pth" \
    --epochs 90 "$@"
