#!/usr/bin/env bash
# STML, learning without labels, BN-Inception with frozen batch normalisation, 512-d, Stanford Online Products.
# Paper: Kim, Kim, Cho, Kwak: Self-Taught Metric Learning without Labels, CVPR 2022.
# Reported: none recorded here for this setting.
# Further flags are passed on, and win: scripts/sop/stml_bn_inception_frozen.sh --seed 2 --precision bf16-mixed
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/main.py" \
    --gpu-id 0 --model bn_inception --embedding_size 512 --optimizer adamp --lr 1e-4 --dataset SOP \
    --view 2 --sigma 3 --delta 0.9 --IPC 2 --momentum 0.9 --bn_freeze 1 "$@"
