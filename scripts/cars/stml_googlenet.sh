#!/usr/bin/env bash
# STML, learning without labels, GoogLeNet, 512, Cars-196.
# Paper: Kim, Kim, Cho, Kwak: Self-Taught Metric Learning without Labels, CVPR 2022.
# Reported: R@1 50.5 (best epoch on the test split).
# Reported with --embedding_size 128: R@1 49.0 (best epoch on the test split).
# NOTE: ImageNet weights of this network (Inception-v1) have no known download: --weights FILE names them.
# Further flags are passed on, and win: scripts/cars/stml_googlenet.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/main.py" \
    --gpu-id 0 --model googlenet --embedding_size 512 --optimizer adamp --dataset cars --view 2 --sigma 3 --lr 1e-4 \
    --delta 1 --IPC 5 "$@"
