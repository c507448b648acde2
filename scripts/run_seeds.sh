#!/usr/bin/env bash
# Run one training with several seeds, one after the other; code/report.py then gives mean and standard deviation.
#
#   scripts/run_seeds.sh 5 scripts/cub/lsd_triplet.sh
#   scripts/run_seeds.sh 3 python code/train.py --dataset glyphs --loss Proxy_Anchor
#   FIRST=5 scripts/run_seeds.sh 2 scripts/cub/lsd_triplet.sh        # seeds 5 and 6
#
# A seed that fails ends it, with its exit status, and the commands that run the others are printed.
set -euo pipefail
largest=4294967295 # of a seed, as --seed has it
if [ $# -lt 2 ] || ! [[ $1 =~ ^0*[1-9][0-9]{0,9}$ ]] || ! [[ ${FIRST:-0} =~ ^0*[0-9]{1,10}$ ]]; then
    echo "usage: [FIRST=SEED] scripts/run_seeds.sh NUMBER_OF_SEEDS COMMAND..." >&2
    exit 2
fi
number=$((10#$1)) # 10#: 08 is eight, not a mistake in base 8
shift
first=$((10#${FIRST:-0}))
last=$((first + number - 1))
if ((last > largest)); then
    echo "run_seeds.sh: seeds $first to $last: the largest is $largest" >&2
    exit 2
fi

# The command that runs the seeds from $1 on, quoted for a shell.
rest_from() {
    printf 'FIRST=%s %q %s' "$1" "$0" $((last - $1 + 1))
    printf ' %q' "${command[@]}"
    echo
}

command=("$@")
for ((seed = first; seed <= last; seed++)); do
    echo "== seed $seed ($((seed - first + 1)) of $number)"
    status=0
    "${command[@]}" --seed "$seed" || status=$?
    if ((status)); then
        {
            echo "run_seeds.sh: seed $seed failed or was interrupted (status $status). It and the rest:"
            echo "  $(rest_from "$seed")"
            if ((seed < last)); then
                echo "If you continue it as it says itself, the rest is"
                echo "  $(rest_from $((seed + 1)))"
            fi
        } >&2
        exit "$status"
    fi
done
echo "== done; the table: $(dirname "$0")/python code/report.py"
