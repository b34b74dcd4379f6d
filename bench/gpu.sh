#!/bin/sh
# bench/gpu.py on a machine with a GPU and no network: installs the wheels of .gpu-packages/ beside what is there, for
# this run alone (bench/README.md says which and how to get them), and ends within eight minutes whatever happens.
#   sh bench/gpu.sh                          # all; OUT=folder: gpu.json and its log go there
#   sh bench/gpu.sh --shape llava-1.5-7b     # arguments are those of gpu.py
set -u
cd "$(dirname "$0")/.." || exit 1
python=${PYTHON:-python3}
if ls .gpu-packages/*.whl >/dev/null 2>&1; then
    site=$(mktemp -d) || exit 1
    trap 'rm -rf "$site"' EXIT
    "$python" -m pip install -q --no-index --no-deps --no-compile --no-cache-dir --disable-pip-version-check \
        --target "$site" .gpu-packages/*.whl || exit 1
    export PYTHONPATH="$site:$PWD"
else
    export PYTHONPATH="$PWD${PYTHONPATH:+:$PYTHONPATH}"
fi
export HF_HUB_OFFLINE=1 TOKENIZERS_PARALLELISM=false PYTHONUNBUFFERED=1
timeout -k 10 470 "$python" bench/gpu.py "$@"
