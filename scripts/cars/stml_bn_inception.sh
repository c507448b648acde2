#!/usr/bin/env bash
# STML, learning without labels, BN-Inception, 512, Cars-196.
# Paper: Kim, Kim, Cho, Kwak: Self-Taught Metric Learning without Labels, CVPR 2022.
# Reported: none for this setting.
# Further flags are passed on, and win: scripts/cars/stml_bn_inception.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/main.py" \
    --gpu-id 0 --model bn_inception --embedding_size 512 --optimizer adamp --dataset cars --view 2 --sigma 3 \
    --lr 1e-4 --delta 1 --IPC 5 --bn-freeze 1 "$@"
