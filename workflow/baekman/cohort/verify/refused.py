"""The gVCFs of a batch that the cohort refuses: every one of them, where the batch itself ends with the first."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from baekman.cohort.batch import open_gvcf, shards_of
from baekman.cohort.gvcf_list import Member
from baekman.cohort.store import Store
from baekman.engine.local import Engine
from baekman.errors import InputRefused, Problem
from baekman.gvcf.reader import read_in_pieces
from baekman.gvcf.thresholds import GvcfRules


def refused_gvcfs(
    store: Store, members: Sequence[Member], refusal: InputRefused, *, rules: GvcfRules, engine: Engine
) -> dict[str, Problem]:
    """Return the participants with a gVCF that cannot be read, each with its first problem.

    ``refusal`` ended the batch of ``members``. If it is about none of their gVCFs, they are not read.
    """
    labels = {member.label for member in members}
    if not any(problem.file in labels for problem in refusal.problems):
        return {}
    with engine.open() as map_tasks:
        problems = map_tasks("reading gVCFs", partial(_problem_of, store, members, rules), len(members))
    return {
        member.participant_id: problem for member, problem in zip(members, problems, strict=True) if problem is not None
    }


def _problem_of(store: Store, members: Sequence[Member], rules: GvcfRules, index: int) -> Problem | None:
    try:
        read_in_pieces(partial(_read, store, members[index], rules))
    except InputRefused as refusal:
        return refusal.problems[0]
    return None


def _read(store: Store, member: Member, rules: GvcfRules, whole_contigs: bool) -> None:
    for _ in shards_of(store, open_gvcf(store, member, whole_contigs=whole_contigs, rules=rules), sample=0):
        pass
