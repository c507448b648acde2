#!/usr/bin/env bash
# Proxy-ISA, BN-Inception, 512-d, Cars-196.
# Paper: Li, Sato, Ishikawa, Kawakami, Yokota: Informative Sample-Aware Proxy for Deep Metric Learning, MMAsia 2022.
# Reported: none for this setting.
# Further flags are passed on, and win: scripts/cars/proxy_isa_bn_inception.sh --seed 2 --precision bf16-mixed
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/train.py" \
    --gpu-id 0 --loss ProxyISA --model bn_inception --embedding-size 512 --batch-size 128 \
    --lr 1e-4 --dataset cars --lr-decay-step 20 --enableMemory True --k 0.4 "$@"
