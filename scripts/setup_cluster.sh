#!/usr/bin/env bash
# Install what only `make test-cluster` needs (envs/apt-cluster.txt). Without it the tests of Slurm's accounts are skipped.
set -euo pipefail
cd "$(dirname "$0")/.."

missing=()
for server in mariadbd slurmdbd; do
    command -v "$server" >/dev/null || missing+=("$server")
done
[ ${#missing[@]} -eq 0 ] && exit 0

if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null; then
    echo "missing: ${missing[*]}; the tests of Slurm's accounts are skipped" >&2
    echo "Install them as root: apt-get install --no-install-recommends $(tr '\n' ' ' < envs/apt-cluster.txt)" >&2
    exit 0
fi
echo "installing ${missing[*]} (envs/apt-cluster.txt)" >&2
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
xargs apt-get install -y -qq --no-install-recommends < envs/apt-cluster.txt >/dev/null
