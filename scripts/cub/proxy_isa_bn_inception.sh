#!/usr/bin/env bash
# Proxy-ISA, BN-Inception, 512, CUB-200-2011.
# Paper: Li, Sato, Ishikawa, Kawakami, Yokota: Informative Sample-Aware Proxy for Deep Metric Learning, MMAsia 2022.
# Reported: R@1 68.1, MAP@R 26.97 (best epoch on the test split).
# Further flags are passed on, and win: scripts/cub/proxy_isa_bn_inception.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train.py" \
    --gpu-id 0 --loss ProxyISA --enableMemory True --model bn_inception --embedding-size 512 --batch-size 128 \
    --dataset cub --lr 1e-4 --lr-decay-step 10 "$@"
