#!/usr/bin/env bash
# Install this package in place into a virtual environment: setup_package.sh FOLDER. Later runs compile only changes.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1/bin/python

scripts/find_compiler.sh "$python" || exit 1
echo "compiling the package's kernels" >&2
if "$python" -c 'from importlib.metadata import version; version("baekman")' 2>/dev/null; then
    "$python" setup.py --quiet build_ext --inplace >/dev/null
else
    "$python" -m pip install --quiet --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
fi
"$python" -m compileall -q workflow/baekman
