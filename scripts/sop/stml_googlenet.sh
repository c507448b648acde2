#!/usr/bin/env bash
# STML, learning without labels, GoogLeNet (Inception-v1), 512-d, Stanford Online Products.
# Paper: Kim, Kim, Cho, Kwak: Self-Taught Metric Learning without Labels, CVPR 2022.
# Reported: R@1 65.3 (best epoch on the test split); 128-d, with --embedding_size 128: 65.8.
# NOTE: no command was published for GoogLeNet here: these are BN-Inception's settings.
# NOTE: ImageNet weights of this network have no known download: --weights FILE names them.
# Further flags are passed on, and win: scripts/sop/stml_googlenet.sh --seed 2 --precision bf16-mixed
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/main.py" \
    --gpu-id 0 --model googlenet --embedding_size 512 --optimizer adamp --lr 1e-4 --dataset SOP \
    --view 2 --sigma 3 --delta 0.9 --IPC 2 --momentum 0.9 "$@"
