#!/usr/bin/env bash
# Attention, embedding transfer, BN-Inception, 512 from BN-Inception, 512, CUB-200-2011.
# Paper: Zagoruyko, Komodakis: Paying More Attention to Attention, ICLR 2017.
# Reported: R@1 66.3, R@2 76.2, R@4 84.5 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/cub/transfer_self_attention.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train_target.py" \
    --gpu-id 0 --loss Attention --model bn_inception --embedding-size 512 --batch-size 90 --IPC 3 --dataset cub \
    --view 2 --save 1 \
    --source-ckpt "$root/pretrained_source/bn_inception/cub_bn_inception_512dim_Proxy_Anchor_ckpt.pth" --epochs 90 "$@"
