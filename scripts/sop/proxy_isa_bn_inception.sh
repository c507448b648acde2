#!/usr/bin/env bash
# Proxy-ISA, BN-Inception, 512, Stanford Online Products.
# Paper: Li, Sato, Ishikawa, Kawakami, Yokota: Informative Sample-Aware Proxy for Deep Metric Learning, MMAsia 2022.
# Reported: none for this setting.
# NOTE: the published parser read `--bn_freeze False` as true, so what was published was trained with frozen batch
# normalisation; here False means False, and `--bn-freeze 1` behind this script repeats what ran there.
# Further flags are passed on, and win: scripts/sop/proxy_isa_bn_inception.sh --seed 2 --precision bf16-mixed
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train.py" \
    --gpu-id 0 --loss ProxyISA --enableMemory True --model bn_inception --embedding-size 512 --batch-size 128 \
    --dataset SOP --optimizer adamw --lr 6e-4 --warm 1 --bn-freeze 0 --lr-decay-step 20 --lr-decay-gamma 0.25 "$@"
