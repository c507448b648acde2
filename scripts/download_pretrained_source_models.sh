#!/bin/sh
# The six published source networks of "Embedding Transfer with Label Relaxation", into ./pretrained_source.
# Resumable; what is no checkpoint (a web page, say) is refused. Flags: --only TEXT, --folder DIR, --help.
exec "$(dirname "$0")/python" "$(dirname "$0")/download_source_models.py" "$@"
