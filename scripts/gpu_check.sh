#!/usr/bin/env bash
# Check on a GPU that all is right, and how fast it is, in less than a quarter of an hour (docs/speed.md).
#
#   scripts/gpu_check.sh pack gpu_check.tar.gz --data cars196 --weights mobilenet_v2.pth   # what the machine needs
#   scripts/gpu_check.sh run results                # there, in the unpacked folder; `--device cpu` rehearses it
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
exec "$here/python" "$here/gpu_check.py" "$@"
