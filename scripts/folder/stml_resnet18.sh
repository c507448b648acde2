#!/usr/bin/env bash
# STML, learning without labels, ResNet-18, 128, your own photographs.
# Paper: Kim, Kim, Cho, Kwak: Self-Taught Metric Learning without Labels, CVPR 2022.
# Reported: none for this setting.
# The images lie in a folder given with --data-dir, in class folders or in none at all; see docs/stml.md.
# At the end the run folder holds gallery.png and, of images without classes, embeddings.npz to search in.
# Further flags are passed on, and win: scripts/folder/stml_resnet18.sh --data-dir photos --pretrained 0
# Written from scripts/commands.toml by scripts/make_scripts.py: edit there.
set -euo pipefail
root="$(dirname "$0")/../.."
exec "$root/scripts/python" "$root/code/train_stml.py" \
    --model resnet18 --embedding_size 128 --dataset folder "$@"
