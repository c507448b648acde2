#!/usr/bin/env bash
# STML, learning without labels, BN-Inception, 512-d, Cars-196.
# Paper: Kim, Kim, Cho, Kwak: Self-Taught Metric Learning without Labels, CVPR 2022.
# Reported: none recorded here for this setting.
# Further flags are passed on, and win: scripts/cars/stml_bn_inception.sh --seed 2 --precision bf16-mixed
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/main.py" \
    --gpu-id 0 --model bn_inception --embedding_size 512 --optimizer adamp --lr 1e-4 --dataset cars \
    --view 2 --sigma 3 --delta 1 --IPC 5 --bn-freeze 1 "$@"
