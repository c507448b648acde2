#!/usr/bin/env bash
# Run one row of docs/results.md and keep what it came to in results/rows.jsonl, from which its table is filled:
#
#   scripts/reproduce.sh cub/proxy_anchor_resnet50 --data-dir DATA --seed 2
#
# The row is the path of its script below scripts/, without the ending; further flags are passed on. What was stopped
# goes on, and what is in the record is not run again. RECORD=FILE keeps it elsewhere, LOGS=DIR the run folder.
set -euo pipefail
root="$(cd "$(dirname "$0")/.." && pwd)"
row="${1:-}"
script="$root/scripts/$row.sh"
case "$row" in
"" | -* | */*/*) script="" ;;
esac
if [ ! -f "$script" ]; then
    echo "reproduce.sh: no row '$row'; the rows are" >&2
    (cd "$root/scripts" && ls cub/*.sh cars/*.sh sop/*.sh inshop/*.sh cifar*/*.sh imagenet/*.sh | sed 's/\.sh$//') >&2
    exit 2
fi
shift
seed="published" before=""
for word in "$@"; do
    [ "$before" = --seed ] && seed="$word"
    before="$word"
    case "$word" in --seed=*) seed="${word#--seed=}" ;; esac
done
name="${row//\//__}__seed_$seed"
logs="${LOGS:-$root/logs/reproduced}"
record="${RECORD:-$root/results/rows.jsonl}"
mkdir -p "$logs" "$(dirname "$record")"
if [ -f "$record" ] && grep -q "\"run\": \"$name\"" "$record"; then
    echo "$name is in $record already"
    exit 0
fi
folder="$(find "$logs" -mindepth 2 -maxdepth 2 -type d -name "$name" | head -n 1)"
if [ -n "$folder" ] && [ -f "$folder/last.pt" ]; then
    program="$(grep -o 'code/[a-z_]*\.py' "$script" | head -n 1)"
    "$root/scripts/python" "$root/$program" --resume-run "$folder"
else
    [ -z "$folder" ] || rm -r "$folder" # killed before its first epoch ended
    "$script" "$@" --log-dir "$logs" --run-name "$name"
    folder="$(find "$logs" -mindepth 2 -maxdepth 2 -type d -name "$name" | head -n 1)"
fi
"$root/scripts/python" "$root/code/report.py" "$folder" --record "$record"
[ "$record" != "$root/results/rows.jsonl" ] || "$root/scripts/python" "$root/scripts/make_scripts.py"
