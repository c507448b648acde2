#!/usr/bin/env bash
# Run one training with several seeds, one after the other; code/report.py then gives mean and standard deviation.
#
#   scripts/run_seeds.sh 5 scripts/cub/lsd_triplet.sh
#   scripts/run_seeds.sh 3 python code/train.py --dataset glyphs --loss Proxy_Anchor
#   FIRST=5 scripts/run_seeds.sh 2 scripts/cub/lsd_triplet.sh        # seeds 5 and 6
set -euo pipefail
if [ $# -lt 2 ] || ! [[ $1 =~ ^[1-9][0-9]*$ ]] || ! [[ ${FIRST:-0} =~ ^[0-9]+$ ]]; then
    echo "usage: [FIRST=SEED] scripts/run_seeds.sh NUMBER_OF_SEEDS COMMAND..." >&2
    exit 2
fi
number=$1
shift
first=${FIRST:-0}
for ((seed = first; seed < first + number; seed++)); do
    echo "== seed $seed ($((seed - first + 1)) of $number)"
    if ! "$@" --seed "$seed"; then
        echo "run_seeds.sh: seed $seed failed or was interrupted; go on with FIRST=$seed, or continue it as it says" >&2
        exit 1
    fi
done
echo "== done; the table: ${PYTHON:-python3} code/report.py"
