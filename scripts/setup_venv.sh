#!/usr/bin/env bash
# Make the Python environment: setup_venv.sh PYTHON FOLDER. Run again it does only what changed.
set -euo pipefail
cd "$(dirname "$0")/.."
python=$1
folder=$2

"$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || {
    echo "Python 3.11 or newer is needed; $python is $("$python" --version 2>&1)" >&2
    echo "Say which one to use: make PYTHON=/path/to/python3.11 ..." >&2
    exit 1
}
[ -x "$folder/bin/python" ] || "$python" -m venv "$folder"
if ! "$folder/bin/python" scripts/check_requirements.py requirements.txt; then
    echo "installing the Python packages of requirements.txt" >&2
    "$folder/bin/python" -m pip install --quiet --disable-pip-version-check -r requirements.txt
fi
"$folder/bin/python" -c 'import baekman' 2>/dev/null \
    || "$folder/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps -e .
