#!/usr/bin/env bash
# Records of the demo's participants, then a release of them to an invented project: demo_release.sh GENOME WORKSPACE KEYS.
# Whoever reads KEYS can decide as both reviewers; real reviewers keep their keys. Run again it finds everything done.
set -euo pipefail
genome=$1
workspace=$2
keys=$3
say() { printf '\n== %s\n' "$1" >&2; }
export BAEKMAN_WORKSPACE=$workspace

say "clinical records of the same people: one value of each delivery is in a wrong unit on purpose"
baekman records init >/dev/null
for delivery in "$genome"/records/*; do
    baekman records receive "$delivery" >&2
done

say "a project, and two reviewers who are not of it"
project=$(baekman project add "$genome/project.yaml")
mkdir -p "$keys"
if [ ! -e "$keys/irb.key" ]; then
    baekman project key --reviewer "Park Simsa" --role irb --institution "University of Hansan" \
        --key "$keys/irb.key" --to 2099-12-31 >/dev/null
fi
if [ ! -e "$keys/drb.key" ]; then
    baekman project key --reviewer "Choi Gyeoljeong" --role drb --institution "National Review Centre" \
        --key "$keys/drb.key" --to 2099-12-31 >/dev/null
fi

say "the plan of a release; the dossier for the reviewers is releases/R…/review.html"
request=$keys/request.yaml
sed "s/{project}/$project/" "$genome/request.yaml" >"$request"
proposed=$(baekman release propose "$request")
echo "$proposed" >&2
release=$(grep -o 'R[0-9A-Z]\{13\}' <<<"$proposed" | head -n 1)
package=$workspace/releases/$release/package
if [ ! -d "$package" ]; then
    say "both reviewers read it and approve; then the package is made"
    for role in irb drb; do
        baekman project decide "$project" --release "$release" --key "$keys/$role.key" \
            --verdict approve --reason "the data is minimal" >&2
    done
    baekman release build "$release" >/dev/null
fi
baekman release verify "$package" --key "$workspace/projects/release.pub"
