#!/usr/bin/env bash
# PKT, embedding transfer, ResNet-18, 128 from ResNet-50, 512, Cars-196.
# Paper: Passalis, Tefas: Learning Deep Representations with Probabilistic Knowledge Transfer, ECCV 2018.
# Reported: R@1 81.6, R@2 88.8, R@4 93.4 (best epoch on the test split).
# The source network: sh scripts/download_pretrained_source_models.sh, or code/train.py --as-source --save 1.
# Further flags are passed on, and win: scripts/cars/transfer_compress_pkt.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train_target.py" \
    --gpu-id 0 --loss PKT --model resnet18 --embedding-size 128 --batch-size 90 --IPC 3 --dataset cars --view 2 \
    --save 1 --source-ckpt "$root/pretrained_source/resnet50/cars_resnet50_512dim_Proxy_Anchor_ckpt.pth" --epochs 90 "$@"
