"""The rows of the per-participant tables, made for all participants of a shard at once."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from baekman.arrow import allele_ranks, arrow, filtered, group_starts, numpy_of, take
from baekman.cohort.schema import FLAG_CALLED, FROZEN_TABLES, STATE_CALLED, TABLE
from baekman.genome.ploidy import own_ploidy
from baekman.genotyping.joint import joint_rows

# the columns of sites that a participant's rows show or are computed from
SITE_COLUMNS = ("pos", "ref", "alt", "af", "af_joint", "filter")


def site_of_rows(calls: pa.Table, sites: pa.Table) -> npt.NDArray[np.int64]:
    """Return the number of the site of each call row; both are sorted by pos, ref, alt, and every row has a site."""
    ranks = allele_ranks(
        pa.chunked_array([*sites.column("ref").chunks, *calls.column("ref").chunks], pa.string()),
        pa.chunked_array([*sites.column("alt").chunks, *calls.column("alt").chunks], pa.string()),
    )
    site_pos = numpy_of(sites, "pos").astype(np.int64)
    pos = numpy_of(calls, "pos").astype(np.int64)
    width = int(ranks.max(initial=0)) + 1
    sites_of: npt.NDArray[np.int64] = np.searchsorted(
        site_pos * width + ranks[: len(site_pos)], pos * width + ranks[len(site_pos) :]
    )
    return sites_of


def by_sample(table: pa.Table, samples: Collection[int]) -> tuple[pa.Table, list[tuple[int, slice]]]:
    """Return the rows of ``samples``, sorted by sample and otherwise in their order, and the slice of each sample."""
    sample = numpy_of(table, "sample")
    order = np.argsort(sample, kind="stable")
    order = order[np.isin(sample[order], list(samples))]
    if len(order) < len(sample) or (order[1:] < order[:-1]).any():
        table = take(table, order).combine_chunks()
    sample = sample[order]
    borders = pairwise([*group_starts(sample).tolist(), len(sample)])
    return table, [(int(sample[first]), slice(first, last)) for first, last in borders]


def variant_rows(calls: pa.Table, sites: pa.Table, filters: pa.Array, *, one_copy: npt.NDArray[np.bool_]) -> pa.Table:
    """Return the columns of FROZEN_TABLES for call rows of one shard, except those that ``of_participants`` adds.

    ``one_copy``: the rows where the participant has one copy; ``filters``: the caller's filters by code. Values of
    FILTER are still strings.
    """
    # a few participants have rows at few of a large cohort's sites
    sites = filtered(sites, np.isin(numpy_of(sites, "pos"), numpy_of(calls, "pos")))
    site = site_of_rows(calls, sites)
    copies, ploidy, gq = (numpy_of(calls, name) for name in ("copies", "ploidy", "gq"))
    pl = np.stack([numpy_of(calls, f"pl_{k}") for k in range(3)], axis=1)
    frequency = numpy_of(sites, "af_joint")[site]
    joint_ploidy = own_ploidy(ploidy, one_copy=one_copy)
    joint_copies, joint_gq = joint_rows(pl, ploidy, copies, gq, frequency, joint_ploidy=joint_ploidy)
    values = np.where(pl[:, 0] < 0, 0, ploidy.astype(np.int64) + 1)
    kept = np.arange(3)[None, :] < values[:, None]
    offsets = np.concatenate([[0], np.cumsum(values)]).astype(np.int32)
    no_pl = np.append(values == 0, False)
    columns: dict[str, Any] = {
        "called": arrow((numpy_of(calls, "flags") & FLAG_CALLED) > 0),
        "pl": pa.ListArray.from_arrays(arrow(offsets, missing=no_pl), arrow(pl[kept].astype(np.int32))),
        "joint_copies": _nullable(joint_copies, pa.uint8()),
        "joint_gq": _nullable(joint_gq, pa.int16()),
        "joint_ploidy": arrow(joint_ploidy),
        "af": take(sites.column("af"), site),
        "filter": take(sites.column("filter"), site),
        "caller_filter": take(filters, numpy_of(calls, "filter")),
    }
    for name in ("gq", "dp", "ad_ref", "ad_alt", "phase_set"):
        columns[name] = _nullable(numpy_of(calls, name), TABLE.field(name).type)
    names = [name for name in FROZEN_TABLES[0].names if name not in ("participant_id", "contig")]
    return pa.table({name: columns[name] if name in columns else calls.column(name) for name in names})


def reference_rows(reference: pa.Table) -> pa.Table:
    """Return the columns of FROZEN_TABLES for blocks of one shard, except those that ``of_participants`` adds."""
    start = numpy_of(reference, "start")
    columns: dict[str, Any] = {
        "end": arrow(start + numpy_of(reference, "length") - 1),
        "dp": _nullable(numpy_of(reference, "dp"), pa.int32()),
        "called": arrow(numpy_of(reference, "state") == STATE_CALLED),
    }
    names = [name for name in FROZEN_TABLES[1].names if name not in ("participant_id", "contig")]
    return pa.table({name: columns[name] if name in columns else reference.column(name) for name in names})


def of_participants(
    rows: pa.Table, where: Collection[tuple[int, slice]], schema: pa.Schema, *, contig: str, ids: list[str]
) -> Iterator[tuple[int, pa.Table]]:
    """Yield each sample with its rows (``schema`` of TABLES or FROZEN_TABLES): ID, contig, and own dictionaries."""
    for sample, part in where:
        count = part.stop - part.start
        columns = {"participant_id": _repeat(ids[sample], count), "contig": _repeat(contig, count)}
        here = rows.slice(part.start, count)
        for field in schema:
            if field.name not in columns:
                values = here.column(field.name)
                columns[field.name] = _dictionary(values) if pa.types.is_dictionary(field.type) else values
        yield sample, pa.Table.from_arrays([columns[name] for name in schema.names], schema=schema)


def _repeat(text: str, count: int) -> pa.Array:
    return pa.DictionaryArray.from_arrays(arrow(np.zeros(count, np.int32)), pa.array([text]))


def _dictionary(values: pa.ChunkedArray) -> pa.Array:
    encoded = values.combine_chunks().dictionary_encode()
    return pa.DictionaryArray.from_arrays(encoded.indices.cast(pa.int32()), encoded.dictionary)


def _nullable(values: npt.NDArray[Any], kind: pa.DataType) -> pa.Array:
    return arrow(values, missing=values < 0).cast(kind)
