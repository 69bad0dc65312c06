#!/bin/sh
# sdist -> wheel in an isolated build -> clean environment outside the checkout -> smoke.py.
# Usage, from the repository root: smoke.sh PYTHON, with the `build` dependency group installed there.
set -eu
python=$1
unset PYTHONPATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"$python" -m build --no-isolation --sdist --outdir "$work/dist" . >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
"$python" -m pip wheel --quiet --no-deps --build-constraint constraints.txt --wheel-dir "$work/dist" \
    "$work"/dist/neurocensus-*.tar.gz
"$python" -m venv "$work/venv"
"$work/venv/bin/python" -m pip install --quiet --constraint constraints.txt "$work"/dist/neurocensus-*.whl

cp scripts/smoke.py "$work"
cd "$work"
venv/bin/python smoke.py dist/neurocensus-*.tar.gz
