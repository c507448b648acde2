#!/usr/bin/env bash
# STML, learning without labels, ResNet-18 from random weights, 128-d, Stanford Online Products.
# Paper: Kim, Kim, Cho, Kwak: Self-Taught Metric Learning without Labels, CVPR 2022.
# Reported: none recorded here for this setting.
# NOTE: convolutions start as torch draws them (docs/stml.md); add --backbone-init published to start as published.
# NOTE: the published command reads `-- fix_lr true`; the blank is a slip.
# Further flags are passed on, and win: scripts/sop/stml_resnet18_scratch.sh --seed 2 --precision bf16-mixed
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/main.py" \
    --gpu-id 0 --model resnet18 --embedding_size 128 --optimizer adamp --lr 5e-4 --fix_lr true --dataset SOP \
    --view 2 --sigma 3 --delta 0.9 --IPC 2 --momentum 0.9 --pretrained false --weight-decay 1e-2 \
    --batch-size 120 --epoch 180 "$@"
