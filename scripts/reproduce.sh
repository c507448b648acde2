#!/usr/bin/env bash
# Run one row of docs/results.md and keep what it came to in results/rows.jsonl, from which its table is filled:
#
#   scripts/reproduce.sh cub/proxy_anchor_resnet50 --data-dir DATA --seed 2
#
# The row is the path of its script below scripts/, without the ending; further flags are passed on. What was stopped
# goes on, and what is in the record is not run again. A run with flags that may change its figures is kept, too, but
# fills no table. RECORD=FILE keeps it elsewhere, LOGS=DIR the run folder.
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
seed="published" changed="" flag="" place=()
for word in "$@"; do
    value="$word"
    case "$word" in
    --*) flag="${word%%=*}" value="" ;;
    esac
    case "$word" in --*=*) value="${word#*=}" ;; esac
    case "$flag" in
    --seed) [ -z "$value" ] || seed="$value" ;;
    --data-dir) [ -z "$value" ] || place=(--data-dir "$value") ;;
    --workers | --gpu-id | --wandb | --weights | --source-ckpt | --cache-images) ;;
    *) changed="$changed $word" ;;
    esac
done
name="${row//\//__}__seed_$seed"
[ -z "$changed" ] || name="${name}__changed_$(printf %s "$changed" | cksum | cut -d ' ' -f 1)"
logs="${LOGS:-$root/logs/reproduced}"
record="${RECORD:-$root/results/rows.jsonl}"
mkdir -p "$logs" "$(dirname "$record")"
if [ -f "$record" ] && grep -q "\"run\": \"[^\"]*/$name\"" "$record"; then
    echo "$name is in $record already"
    exit 0
fi
found() { find "$logs" -mindepth 2 -maxdepth 2 -type d -name "$name" | head -n 1; }
folder="$(found)"
if [ -z "$folder" ]; then
    "$script" "$@" --log-dir "$logs" --run-name "$name"
    folder="$(found)"
elif [ -f "$folder/last.pt" ]; then
    program="$(sed -n 's/^exec .*\/\(code\/[a-z_]*\.py\).*/\1/p' "$script")"
    "$root/scripts/python" "$root/$program" --resume-run "$folder" ${place[@]+"${place[@]}"}
else
    echo "reproduce.sh: $folder has no checkpoint yet: it is being trained, or was killed before; then remove it" >&2
    exit 1
fi
"$root/scripts/python" "$root/code/report.py" "$folder" --record "$record"
[ "$record" != "$root/results/rows.jsonl" ] || "$root/scripts/python" "$root/scripts/make_scripts.py"
