#!/usr/bin/env bash
# STML, learning without labels, GoogLeNet (Inception-v1), 512-d, CUB-200-2011.
# Paper: Kim, Kim, Cho, Kwak: Self-Taught Metric Learning without Labels, CVPR 2022.
# Reported: R@1 60.6 (best epoch on the test split); 128-d, with --embedding_size 128: 59.7.
# NOTE: ImageNet weights of this network have no known download: --weights FILE names them.
# Further flags are passed on, and win: scripts/cub/stml_googlenet.sh --seed 2 --precision bf16-mixed
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/main.py" \
    --gpu-id 0 --model googlenet --embedding_size 512 --optimizer adamp --lr 1e-4 --dataset cub \
    --view 2 --sigma 3 --delta 1 --IPC 5 "$@"
