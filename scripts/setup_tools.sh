#!/usr/bin/env bash
# Install the missing tools of envs/apt.txt. Tools that are on PATH already stay as they are.
set -euo pipefail
cd "$(dirname "$0")/.."

needed=(bwa samtools bcftools minimap2 mosdepth freebayes)
missing=()
for tool in "${needed[@]}"; do
    command -v "$tool" >/dev/null || missing+=("$tool")
done
# in CI no test may be skipped because a server or the browser is missing
if [ -n "${CI:-}" ]; then
    for server in slurmctld slurmd chromium-headless-shell /usr/lib/postgresql/*/bin/initdb; do
        command -v "$server" >/dev/null || missing+=("$server")
    done
fi
# mosdepth loads libhts.so when it starts: its program alone is not enough
if command -v mosdepth >/dev/null && ! mosdepth --version >/dev/null 2>&1; then
    missing+=("libhts-dev")
fi
if ! python3 -c 'import ensurepip, venv' 2>/dev/null && [ ! -x .venv/bin/python ]; then
    missing+=("python3-venv")
fi
# the package's kernels are compiled on the machine
compiler=$(scripts/find_compiler.sh python3 2>/dev/null) || missing+=("${compiler:-python3}")
[ ${#missing[@]} -eq 0 ] && exit 0

if ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}" >&2
    echo "There is no apt here. With conda: conda env create -f envs/baekman.yaml && conda activate baekman" >&2
    exit 1
fi
if [ "$(id -u)" -ne 0 ]; then
    echo "missing: ${missing[*]}" >&2
    echo "Install them as root: apt-get install --no-install-recommends $(tr '\n' ' ' < envs/apt.txt)" >&2
    echo "or with conda: conda env create -f envs/baekman.yaml && conda activate baekman" >&2
    exit 1
fi
echo "installing ${missing[*]} and the rest of envs/apt.txt" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
xargs apt-get install -y -qq --no-install-recommends < envs/apt.txt >/dev/null
