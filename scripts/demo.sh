#!/usr/bin/env bash
# Two deliveries of the small test genome through the whole workflow, then a release of their data with clinical
# records, into the folder demo/. Run again it finds everything done.
set -euo pipefail
project=$(cd "$(dirname "$0")/.." && pwd)
demo=${BAEKMAN_DEMO:-$project/demo}
genome=$demo/genome
workspace=$demo/workspace
say() { printf '\n== %s\n' "$1" >&2; }

if [ ! -d "$genome" ]; then
    say "making the test genome: invented people, their reads, what is true of them"
    python "$project/scripts/make_test_genome.py" --output "$genome" >/dev/null
fi
mkdir -p "$workspace"
if [ ! -e "$workspace/registry" ]; then
    say "the registry: who was registered, who consented"
    baekman registry init --workspace "$workspace"
    baekman registry import "$genome/registration.tsv" --workspace "$workspace"
fi
# the configuration of the test genome has paths relative to its own folder
sed -E "s#: ([a-z_]+\.[a-z.]+)\$#: $genome/\1#" "$genome/demo_config.yaml" >"$workspace/config.yaml"

say "some of what follows is wrong on purpose: files, registrations and reads with planted faults are to be found"
for delivery in first second; do
    say "delivery '$delivery' (invented), from intake to tables"
    baekman deliver "$genome/deliveries/$delivery" --workspace "$workspace" >/dev/null
done

verified=$("$project/scripts/demo_release.sh" "$genome" "$workspace" "$demo/keys")

say "where everything lies"
cat >&2 <<WHERE
  $workspace/deliveries/D…/report/   report.html, verdicts.html, multiqc.html of each delivery
  $workspace/participants/P…/        alignment, QC and gVCF of each participant
  $workspace/cohort/                 the cohort: batches, sites with frequencies, snapshots
  $workspace/tables/variants/…       one table of variants per participant; tables/reference/… their reference blocks
  $workspace/releases/R…/            plan, dossier (review.html) and package of a release to a project
  $workspace/return/                 the reports for the institutions (the only files with their labels)
WHERE
say "the first variants of one participant"
python "$project/scripts/show_table.py" "$workspace/tables"
say "to go on"
cat >&2 <<NEXT
  . $project/.venv/bin/activate
  baekman query --workspace $workspace --sql "SELECT filter, count(*) AS alleles FROM sites GROUP BY ALL"
  baekman deliver --help
NEXT
echo "$verified"
