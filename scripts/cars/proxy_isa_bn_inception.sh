#!/usr/bin/env bash
# Proxy-ISA, BN-Inception, 512, Cars-196.
# Paper: Li, Sato, Ishikawa, Kawakami, Yokota: Informative Sample-Aware Proxy for Deep Metric Learning, MMAsia 2022.
# Reported: none for this setting.
# Further flags are passed on, and win: scripts/cars/proxy_isa_bn_inception.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train.py" \
    --gpu-id 0 --loss ProxyISA --enableMemory True --model bn_inception --embedding-size 512 --batch-size 128 \
    --dataset cars --lr 1e-4 --lr-decay-step 20 --k 0.4 "$@"
