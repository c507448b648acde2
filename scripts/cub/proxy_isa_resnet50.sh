#!/usr/bin/env bash
# Proxy-ISA, ResNet-50, 512-d, CUB-200-2011.
# Paper: Li, Sato, Ishikawa, Kawakami, Yokota: Informative Sample-Aware Proxy for Deep Metric Learning, MMAsia 2022.
# Reported: none for this setting.
# Further flags are passed on, and win: scripts/cub/proxy_isa_resnet50.sh --seed 2 --precision bf16-mixed
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/train.py" \
    --gpu-id 0 --loss ProxyISA --model resnet50 --embedding-size 512 --batch-size 128 \
    --lr 1e-4 --dataset cub --warm 0 --lr-decay-step 5 --enableMemory True "$@"
