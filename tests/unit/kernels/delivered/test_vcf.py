"""VCF kernels against plain Python, however the text is cut between lines."""

from __future__ import annotations

from baekman.kernels.delivered.vcf import FilterCopy, RecordOrder
from hypothesis import given
from hypothesis import strategies as st

cuts = st.lists(st.integers(1, 5), min_size=1)
places = st.lists(st.tuples(st.sampled_from([b"chr1", b"chr2", b"chr10"]), st.integers(0, 4)), max_size=9)
NAMES = {b"LowQual": b"LowQual", b"ward": b"filter1", b"q10": b"q10"}
FILTERS = [b".", b"PASS", b"LowQual", b"ward", b"ward;LowQual", b"odd", b"odd;q10", b"", b"q10;", b"PASS;ward"]


def parts(lines: list[bytes], sizes: list[int]) -> list[bytes]:
    """Return the lines in parts."""
    made, at = [], 0
    while at < len(lines):
        step = sizes[len(made) % len(sizes)]
        made.append(b"".join(lines[at : at + step]))
        at += step
    return made


@given(places, cuts)
def test_order_is_that_of_plain_python(records: list[tuple[bytes, int]], sizes: list[int]) -> None:
    contigs: list[bytes] = []
    count, in_order, position = 0, True, 0
    for contig, pos in records:
        if not contigs or contig != contigs[-1]:
            in_order &= contig not in contigs
            contigs.append(contig)
            position = 0
        if pos < position:
            in_order = False
            break
        position = pos
        count += 1
    order = RecordOrder()
    for part in parts([b"%b %d\n" % record for record in records], sizes):
        order.feed(part)
    assert (order.contigs, order.records, order.sorted) == (contigs, count, in_order)


@given(
    st.lists(st.tuples(st.sampled_from(FILTERS), st.sampled_from([10, 10, 10, 7, 6])), max_size=9), cuts, st.booleans()
)
def test_filters_get_their_kept_names(rows: list[tuple[bytes, int]], sizes: list[int], ended: bool) -> None:
    lines, expected = [b"##fileformat=VCFv4.2\n", b"#CHROM\tx\n"], []
    for filters, columns in rows:
        fields = [b"chr1", b"1", b".", b"A", b"C", b".", filters, b"DP=1", b"GT", b"0/1"][:columns]
        lines.append(b"\t".join(fields) + b"\n")
        if columns > 6 and filters not in (b".", b"PASS"):
            fields[6] = b";".join(NAMES.get(name, b"") for name in filters.split(b";"))
        expected.append(b"\t".join(fields) + b"\n")
    if not ended:
        lines[-1] = lines[-1].removesuffix(b"\n")
    copy = FilterCopy(NAMES)
    assert b"".join(copy.feed(part) for part in parts(lines, sizes)) == b"".join(expected)
