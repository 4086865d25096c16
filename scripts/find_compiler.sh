#!/usr/bin/env bash
# Check that extension modules can be compiled for a Python: find_compiler.sh PYTHON. Prints the missing packages.
set -euo pipefail
missing=()
command -v cc >/dev/null || missing+=(gcc libc6-dev)
headers=$("$1" -c 'import sysconfig; print(sysconfig.get_path("include"))' 2>/dev/null || true)
[ -e "${headers:-/usr/include/python3}/Python.h" ] || missing+=(python3-dev)
[ ${#missing[@]} -eq 0 ] && exit 0
echo "${missing[*]}"
echo "A C compiler and Python's headers are needed; missing: ${missing[*]}" >&2
exit 1
