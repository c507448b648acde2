#!/usr/bin/env bash
# Proxy-ISA, ResNet-50, 512, CUB-200-2011.
# Paper: Li, Sato, Ishikawa, Kawakami, Yokota: Informative Sample-Aware Proxy for Deep Metric Learning, MMAsia 2022.
# Reported: none for this setting.
# Further flags are passed on, and win: scripts/cub/proxy_isa_resnet50.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train.py" \
    --gpu-id 0 --loss ProxyISA --enableMemory True --model resnet50 --embedding-size 512 --batch-size 128 \
    --dataset cub --lr 1e-4 --warm 0 --lr-decay-step 5 "$@"
