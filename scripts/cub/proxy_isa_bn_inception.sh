#!/usr/bin/env bash
# Proxy-ISA, BN-Inception, 512-d, CUB-200-2011.
# Paper: Li, Sato, Ishikawa, Kawakami, Yokota: Informative Sample-Aware Proxy for Deep Metric Learning, MMAsia 2022.
# Reported: R@1 68.1, MAP@R 26.97 (best epoch on the test split).
# Further flags are passed on, and win: scripts/cub/proxy_isa_bn_inception.sh --seed 2 --precision bf16-mixed
set -euo pipefail
exec "$(dirname "$0")/../python" "$(dirname "$0")/../../code/train.py" \
    --gpu-id 0 --loss ProxyISA --model bn_inception --embedding-size 512 --batch-size 128 \
    --lr 1e-4 --dataset cub --lr-decay-step 10 --enableMemory True "$@"
