"""Headers of delivered SAM and VCF files: what they name, and rebuilt ones that hold nothing personal.

A rebuilt header is made from an allow-list; a delivered header is never edited. Descriptions, comments, programs and
file names are free text and are not kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from baekman.genome.vcf_header import definitions

ALT_IDS = ("NON_REF", "*", "DEL", "INS", "DUP", "INV", "CNV")
INFO_IDS = (
    *("END", "DP", "MQ", "MQ0", "QD", "FS", "SOR", "AC", "AN", "AF", "MLEAC", "MLEAF", "ExcessHet", "SB"),
    *("MQRankSum", "ReadPosRankSum", "BaseQRankSum", "ClippingRankSum", "RAW_MQ", "RAW_MQandDP", "MIN_DP"),
    *("MinDP", "INDEL", "IDV", "IMF", "VDB", "RPB", "MQB", "BQB", "MQSB", "SGB", "MQ0F", "DP4", "I16", "QS"),
    *("SVTYPE", "SVLEN", "BLOCKAVG_min30p3a", "AO", "RO", "TYPE", "LEN", "NUMALT", "ODDS"),
)
FORMAT_IDS = (
    *("GT", "GQ", "DP", "AD", "ADF", "ADR", "MIN_DP", "MED_DP", "PL", "GL", "GP", "PS", "PGT", "PID", "SB"),
    *("SP", "VAF", "RGQ", "FT", "AO", "RO", "QA", "QR", "GQX", "DPF", "DPI", "RNC", "AF", "PRI", "PP"),
)
# Filters of known callers keep their names. A laboratory's own filter gets a number, since its name may say anything.
FILTER_NAMES = re.compile(
    r"PASS|LowQual|LOWQUAL|RefCall|NoCall|GERMLINE|Deleted|LowGQX?|LowDP|LowDepth|HighDepth|HighDPFRatio|LowConf"
    r"|NonRef|SiteConflict|PloidyConflict|SnpGap|IndelGap|SnpCluster|DRAGEN(?:Snp|Indel|)HardQUAL"
    r"|VQSRTranche(?:SNP|INDEL)[0-9.]{1,8}to[0-9.]{1,8}\+?"
    r"|(?:QD|FS|SOR|MQ|DP|GQ|QUAL|MQRankSum|ReadPosRankSum|q|s|d)-?[0-9]{1,3}(?:\.[0-9]{1,3})?"
)
# htslib takes any other M5 for the path of a file
_M5 = re.compile(r"M5:[0-9a-fA-F]{32}")
_COLUMNS = ("#CHROM", "POS", "ID", "REF", "ALT", "QUAL", "FILTER", "INFO", "FORMAT")


def read_groups(header: str) -> list[str]:
    """Return the ID of each @RG of a SAM header, in order."""
    return [item[3:] for item in _read_group_items(header) if item.startswith("ID:")]


def sam_samples(header: str) -> tuple[str, ...]:
    """Return the SM of the @RG lines of a SAM header, each once."""
    return tuple(dict.fromkeys(item[3:] for item in _read_group_items(header) if item.startswith("SM:")))


def sam_header(header: str, *, participant: str, platform: str, lanes: Iterable[int]) -> str:
    """Return a SAM header with the contigs of ``header`` (name, length, M5) and a read group per lane."""
    lines = ["@HD\tVN:1.6\tSO:unsorted"]
    for line in header.splitlines():
        if line.startswith("@SQ\t"):
            kept = [item for item in line.split("\t")[1:] if item[:3] in ("SN:", "LN:") or _M5.fullmatch(item)]
            lines.append("\t".join(["@SQ", *kept]))
    for number in lanes:
        lane = f"L{number}"
        lines.append(f"@RG\tID:{lane}\tSM:{participant}\tPL:{platform}\tLB:{participant}\tPU:{participant}.{lane}")
    return "\n".join(lines) + "\n"


def vcf_header(header: str, *, sample: str) -> str:
    """Return a VCF header rebuilt from ``header``: version, filters, contigs, and the allowed ALT, INFO and FORMAT."""
    lines = ["##fileformat=VCFv4.2"]
    filters = filter_names(header)
    for definition in definitions(header):
        kind, name, fields = definition.kind, definition.id, definition.fields
        if kind == "contig":
            length = f",length={fields['length']}" if fields.get("length", "").isdigit() else ""
            lines.append(f"##contig=<ID={name}{length}>")
        elif kind == "FILTER":
            lines.append(f'##FILTER=<ID={filters[name]},Description="as delivered">')
        elif kind == "ALT" and name in ALT_IDS:
            lines.append(f'##ALT=<ID={name},Description="as delivered">')
        elif name in {"INFO": INFO_IDS, "FORMAT": FORMAT_IDS}.get(kind, ()):
            kept = f"ID={name},Number={fields.get('Number', '.')},Type={fields.get('Type', 'String')}"
            lines.append(f'##{kind}=<{kept},Description="as delivered">')
    return "\n".join([*dict.fromkeys(lines), "\t".join([*_COLUMNS, sample])]) + "\n"


def filter_names(header: str) -> dict[str, str]:
    """Return the kept name of each filter in ``header``; a name of no known caller becomes ``filter<N>``."""
    declared = dict.fromkeys(definition.id for definition in definitions(header, "FILTER"))
    unknown = [name for name in declared if not FILTER_NAMES.fullmatch(name)]
    return {name: name for name in declared} | {name: f"filter{n}" for n, name in enumerate(unknown, 1)}


def dropped_fields(header: str) -> str:
    """Return the argument of ``bcftools annotate -x`` that drops IDs and each INFO and FORMAT field not allowed."""
    defined = {(definition.kind, definition.id) for definition in definitions(header, "INFO", "FORMAT")}
    info = [f"INFO/{name}" for name in INFO_IDS if ("INFO", name) in defined]
    formats = [f"FORMAT/{name}" for name in FORMAT_IDS if ("FORMAT", name) in defined]
    return ",".join(["ID", f"^{','.join(info)}" if info else "INFO", f"^{','.join(formats)}" if formats else "FORMAT"])


def _read_group_items(header: str) -> Iterator[str]:
    for line in header.splitlines():
        if line.startswith("@RG\t"):
            yield from line.split("\t")
