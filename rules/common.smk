# Names that several stages share, and functions that give rules their inputs.
import json
import shlex
from pathlib import Path

from baekman.align.aligners import INDEX_ENDINGS
from baekman.files.digests import sha256_of
from baekman.genome.targets import DEFAULT_PADDING
from baekman.workspace import current_reads, decisions, specimens

PARTICIPANT = r"P[0-9A-Z]{13}"
DELIVERY = r"D[0-9A-Z]{13}"
BASES_PER_CALL_JOB = 125_000_000
ANNOTATION_SOURCES = [path for path in SETTINGS["annotate"].values() if path]
QC = "participants/{participant}/qc/{participant}"

REFERENCE = f"reference/{SETTINGS['reference_name']}.fa"
DICTIONARY = f"reference/{SETTINGS['reference_name']}.dict"
INDEX = [f"{REFERENCE}{ending}" for ending in INDEX_ENDINGS[SETTINGS["aligner"]]]
# The file of the pseudo-autosomal regions, or the reference's name, by which the package knows them.
PAR = SETTINGS["par_regions"] or SETTINGS["reference_name"]
TARGETS = "reference/targets.bed" if SETTINGS["target_regions"] else []
# An option that comes after others, where it matters; otherwise the parameters of finished jobs stay as they were.
PADDING = (
    f" --target-padding {SETTINGS['target_padding']}"
    if TARGETS or SETTINGS["target_padding"] != DEFAULT_PADDING
    else ""
)
DEPTH_REGIONS = f"reference/{'target_' if TARGETS else ''}depth_regions.bed"


def gate_of_run():
    """Return the options of the QC gate: its mode, and the number of changes of persons' decisions if there are any."""
    decided = decisions.revision(WORKSPACE.delivery(str(config.get("delivery"))))
    return SETTINGS["gates"]["qc"] + (f" --decisions {decided}" if decided else "")


scattergather:
    call=max(1, Path(SETTINGS["reference"]).stat().st_size // BASES_PER_CALL_JOB),


wildcard_constraints:
    delivery=DELIVERY,
    participant=PARTICIPANT,
    lane=r"L\d+",


def of_delivery(pattern):
    """Return `pattern` for the delivery of this run; nothing without a received delivery."""
    return expand(pattern, delivery=config["delivery"]) if IS_RECEIVED else []


def settings_of_manifest():
    """Return the settings; without `annotate` where it names no file, so that finished manifests stay as they are."""
    return {
        key: SETTINGS[key]
        for key in SETTINGS
        if key != "annotate" or ANNOTATION_SOURCES
    }


def annotations_of_delivery():
    """Return the note on the annotation after the batch; nothing without files to annotate from."""
    annotations = of_delivery("deliveries/{delivery}/annotations.json")
    return annotations if ANNOTATION_SOURCES else []


def of_participants(pattern, entries=specimens.ENTRIES):
    """Return `pattern` for each participant of the delivery with one of `entries`."""
    ids = sorted({row.participant_id for row in STAGED if row.entry in entries})
    return expand(pattern, participant=ids)


def of_superseded(pattern, participants):
    """Return `pattern` for those of the superseded `participants` who have the file, which is never too new here."""
    files = expand(pattern, participant=sorted(set(participants) & set(SUPERSEDED)))
    return [ancient(file) for file in files if Path(file).is_file()]


def of_failed(*gates):
    """Return the notes on jobs that failed for one participant before `gates`."""
    ids = [participant for gate in gates for participant in FAILED[gate]]
    return expand(
        "deliveries/{delivery}/failures/{participant}.json",
        delivery=config.get("delivery"),
        participant=ids,
    )


def of_accepted(pattern):
    """Return an input function: `pattern` for each participant accepted by the QC gate, after the checkpoint."""

    def accepted(wildcards):
        if not IS_RECEIVED:
            return []
        chosen = checkpoints.verdicts.get(delivery=config["delivery"]).output.accepted
        ids = [line.split("\t")[0] for line in Path(chosen).read_text().splitlines()]
        absent = {*SUPERSEDED, *FAILED["qc"], *FAILED["call"]}
        own = [participant for participant in ids if participant not in absent]
        return expand(pattern, participant=own) + of_superseded(pattern, ids)

    return accepted


def rows_of(wildcards):
    """Return the staged rows of one participant."""
    return [row for row in STAGED if row.participant_id == wildcards.participant]


def staged_reads(wildcards):
    """Return the staged files of one participant."""
    return list(dict.fromkeys(file for row in rows_of(wildcards) for file in row.files))


def earlier_reads(wildcards):
    """Return the alignment of a participant's earlier reads where those of this delivery are merged with them."""
    merged = current_reads.merged_reads(
        WORKSPACE, wildcards.participant, delivery_id=config["delivery"]
    )
    return f"participants/{wildcards.participant}/earlier.cram" if merged else []


def order_of_lanes(wildcards):
    """Return the order of a specimen with several lanes; a file that does not exist for another specimen."""
    form = ORDERED.get(wildcards.participant, "")
    return f"deliveries/{wildcards.delivery}/orders/{wildcards.participant}.{form or 'lanes'}.sealed"


def lanes_of(wildcards):
    """Return the alignments and notes of the lanes of a specimen with several."""
    _, _, number = ORDERED.get(wildcards.participant, "").partition("lanes-")
    return expand(
        "deliveries/{delivery}/lanes/{participant}/L{lane}.{ending}",
        delivery=wildcards.delivery,
        participant=wildcards.participant,
        lane=range(1, int(number or 0) + 1),
        ending=("bam", "sealed"),
    )


def needed_index(wildcards):
    """Return the aligner's index; nothing for an alignment that is taken as it is."""
    entries = {row.entry for row in rows_of(wildcards)}
    is_accepted = SETTINGS["aligned_input"] == "accept" and "fastq" not in entries
    return [] if is_accepted or entries == {"aligned"} else INDEX


def evidence_of(wildcards):
    """Return the files for a participant's metrics: alignment and statistics, or delivered calls."""
    row = rows_of(wildcards)[0]
    array = {"array": row.array_genotypes} if row.array_genotypes else {}
    if row.entry == "gvcf":
        return {"gvcf": "participants/{participant}/calls.g.vcf.gz", **array}
    return {
        "cram": "participants/{participant}/aligned.cram",
        "stats": f"{QC}.stats.txt",
        "depth": f"{QC}.regions.bed.gz",
        "depth_thresholds": f"{QC}.thresholds.bed.gz",
        **({"targets": TARGETS} if TARGETS else {}),
        **array,
    }


def options_of(wildcards, input):
    """Return `--name path` for each named input, and the other names of contigs where gVCF or array may have them."""
    options = [
        f"--{name.replace('_', '-')} {path}" for name, path in input.items() if path
    ]
    aliases = SETTINGS["cohort"]["contig_aliases"]
    if aliases and "array" in input.keys():
        options.append(f"--aliases {shlex.quote(json.dumps(aliases))}")
    return [*options, PADDING.strip()] if TARGETS else options


def pieces_of(wildcards):
    """Return the gVCFs that make up a participant's: called pieces, or the delivered one."""
    delivered = [row.file_1 for row in rows_of(wildcards) if row.entry == "gvcf"]
    return delivered or gather.call(
        "participants/{{participant}}/calls/{scatteritem}.g.vcf.gz"
    )


def notes_of(wildcards):
    """Return the notes on the completeness of the called pieces; a delivered gVCF has none."""
    if rows_of(wildcards)[0].entry == "gvcf":
        return []
    return gather.call("participants/{{participant}}/calls/{scatteritem}.json")


def caller_of(wildcards):
    """Return the settings that the pieces of a participant's gVCF depend on; "" for a delivered gVCF."""
    if rows_of(wildcards)[0].entry == "gvcf":
        return ""
    targets = ""
    if TARGETS:
        targets = f" {sha256_of(Path(SETTINGS['target_regions']))} {SETTINGS['target_padding']}"
    return f"{SETTINGS['caller']} {PAR}{targets}"
