#!/usr/bin/env bash
# STML, learning without labels, ResNet-18 from scratch, 128, Stanford Online Products.
# Paper: Kim, Kim, Cho, Kwak: Self-Taught Metric Learning without Labels, CVPR 2022.
# Reported: none for this setting.
# NOTE: convolutions start as torch draws them (docs/stml.md); add --backbone-init published to start as published.
# NOTE: the published command reads `-- fix_lr true`; the blank is a slip.
# Further flags are passed on, and win: scripts/sop/stml_resnet18_scratch.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/main.py" \
    --gpu-id 0 --model resnet18 --embedding_size 128 --optimizer adamp --dataset SOP --view 2 --sigma 3 --lr 5e-4 \
    --fix_lr true --delta 0.9 --IPC 2 --momentum 0.9 --pretrained false --weight-decay 1e-2 --batch-size 120 \
    --epoch 180 "$@"
