#!/usr/bin/env bash
# Make the Python environment of requirements.txt: setup_venv.sh PYTHON FOLDER. Later runs install only changes.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
folder=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed; $python is $("$python" --version 2>&1)" >&2
    echo "Name one that is: make PYTHON=/path/to/python3.11 ..." >&2
    exit 1
}
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
# only errors: pip warns of each folder of a local index that lacks a package
pip=("$folder/bin/python" -m pip install --quiet --quiet --disable-pip-version-check)
complete=("$folder/bin/python" scripts/check_requirements.py)

if ! "${complete[@]}" requirements.txt requirements-oracles.txt; then
    echo "installing the Python packages of requirements.txt" >&2
    # The list is complete: pip resolves nothing, and one pip per core installs a part. Byte code is written at the end,
    # by all cores, without the packages' own tests.
    grep -hv '^#' requirements.txt requirements-oracles.txt | xargs -n 20 -P "$(nproc)" "${pip[@]}" --no-deps --no-compile || true
    # after a failure, one pip for all reports the cause
    "${complete[@]}" requirements.txt || "${pip[@]}" -r requirements.txt
    "${complete[@]}" requirements-oracles.txt || "${pip[@]}" --no-deps -r requirements-oracles.txt
    "$folder/bin/python" -m compileall -q -j 0 -x '/tests?/' "$folder/lib" || true
fi
