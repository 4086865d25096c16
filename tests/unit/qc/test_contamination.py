from __future__ import annotations

import itertools
import math
import stat
from pathlib import Path

import numpy as np
import pytest
from baekman.qc import contamination
from baekman.qc.contamination import Estimate, estimate_of_self_sm
from baekman.qc.mixture import _genotype_priors, _Model, estimate
from baekman.qc.pileup import Counts, read_sites
from hypothesis import given, settings
from hypothesis import strategies as st
from support.simulated_specimen import population


def mixture(
    rng: np.random.Generator, frequency: np.ndarray, alpha: float, *, depth: float = 30, error: float = 0.001
) -> Counts:
    """Return counts of two people's reads with shares 1 - alpha and alpha, drawn by probability."""
    first, second = rng.binomial(2, frequency), rng.binomial(2, frequency)
    alt = (1 - alpha) * first / 2 + alpha * second / 2
    probability = np.stack(
        [(1 - error) * (1 - alt) + error / 3 * alt, (1 - error) * alt + error / 3 * (1 - alt)], axis=1
    )
    other = 1 - probability.sum(axis=1, keepdims=True)
    drawn = rng.multinomial(rng.poisson(depth, len(frequency)), np.hstack([probability, other]))
    return Counts(ref=drawn[:, :1], alt=drawn[:, 1:2], other=drawn[:, 2], error=np.array([error]))


def read_pileup_table(path: Path) -> tuple[Counts, np.ndarray]:
    """Return a pileup table of GATK's GetPileupSummaries: autosomal counts without qualities, and frequencies."""
    table = np.loadtxt(path, skiprows=2, dtype=str)
    table = table[[contig.removeprefix("chr").isdigit() for contig in table[:, 0]]]
    ref, alt, other = table[:, 2:5].astype(np.int64).T
    counts = Counts(ref=ref[:, None], alt=alt[:, None], other=other, error=np.array([0.0]))
    return counts, table[:, 5].astype(float)


@given(
    reads=st.lists(st.tuples(st.sampled_from(["ref", "alt"]), st.sampled_from([0, 1])), min_size=1, max_size=8),
    alpha=st.floats(0, 0.5),
    frequency=st.floats(0.01, 0.99),
)
def test_the_likelihood_is_that_of_each_read_of_each_pair_of_genotypes(
    reads: list[tuple[str, int]], alpha: float, frequency: float
) -> None:
    error = [0.01, 0.001]
    obvious = 0.0
    for g1, g2 in itertools.product(range(3), repeat=2):
        probability = math.prod(math.comb(2, g) * frequency**g * (1 - frequency) ** (2 - g) for g in (g1, g2))
        for allele, quality in reads:
            e = error[quality]
            of_base = 0.0
            for genotype, share in ((g1, 1 - alpha), (g2, alpha)):
                for copy in (0, 1):  # which chromosome the read is from
                    carries = "alt" if copy < genotype else "ref"
                    of_base += share / 2 * (1 - e if carries == allele else e / 3)
            probability *= of_base
        obvious += probability

    table = {allele: np.zeros((1, 2), dtype=np.int64) for allele in ("ref", "alt")}
    for allele, quality in reads:
        table[allele][0, quality] += 1
    model = _Model(Counts(**table, other=np.array([0]), error=np.array(error)))
    pairs = model.log_pairs(alpha) + _genotype_priors(np.array([frequency]))
    assert np.exp(pairs).sum() == pytest.approx(obvious, rel=1e-9)


@settings(max_examples=12, deadline=None)
@given(alpha=st.sampled_from([0.0, 0.005, 0.02, 0.05, 0.1, 0.2]), seed=st.integers(0, 10_000))
def test_a_simulated_mixture_is_found(alpha: float, seed: int) -> None:
    rng = np.random.default_rng(seed)
    frequency = rng.uniform(0.05, 0.95, 3000)
    result = estimate(mixture(rng, frequency, alpha), frequency=frequency)
    assert result.failure is None
    assert result.alpha == pytest.approx(alpha, abs=0.002 + 0.1 * alpha)
    assert result.low is not None and result.high is not None
    assert result.low <= result.alpha <= result.high


def test_the_interval_holds_the_truth_in_95_of_100_cases() -> None:
    rng = np.random.default_rng(5)
    frequency = rng.uniform(0.05, 0.95, 500)
    results = [estimate(mixture(rng, frequency, 0.03), frequency=frequency) for _ in range(30)]
    held = sum(result.low <= 0.03 <= result.high for result in results)  # type: ignore[operator]
    assert held >= 24  # of 28.5 expected: fewer happen once in a thousand times


@pytest.mark.parametrize("percent", [1, 3, 5, 8])
def test_real_reads_of_known_mixture(shared_data: Path, percent: int) -> None:
    """NA12891 in NA12892, exomes at 12- to 260-fold, sites that were never curated: within half a percentage point."""
    name = f"NA12891_{percent / 100:.2f}_NA12892_{1 - percent / 100:.2f}.table"
    counts, frequency = read_pileup_table(shared_data / "contamination" / "gatk_pileup_tables" / name)
    result = estimate(counts, frequency=frequency)
    assert result.alpha == pytest.approx(percent / 100, abs=0.005)


@pytest.mark.parametrize(
    "name",
    [f"small-panel-pileups{number}.tsv" for number in (1, 2, 3)] + ["small_gene_panel.pileups"],
)
def test_real_small_panels_are_clean(shared_data: Path, name: str) -> None:
    counts, frequency = read_pileup_table(shared_data / "contamination" / "gatk_pileup_tables" / name)
    result = estimate(counts, frequency=frequency)
    assert result.failure is None
    assert result.alpha is not None and result.alpha < 0.003


def test_sites_that_no_mixture_explains_do_not_move_the_estimate() -> None:
    rng = np.random.default_rng(2)
    frequency = rng.uniform(0.05, 0.95, 2000)
    counts = mixture(rng, frequency, 0.0)
    paralogous = rng.choice(2000, 100, replace=False)
    depth = counts.depth[paralogous]
    counts.alt[paralogous, 0] = rng.binomial(depth, 0.15)
    counts.ref[paralogous, 0] = depth - counts.alt[paralogous, 0]
    result = estimate(counts, frequency=frequency)
    assert result.alpha is not None and result.alpha < 0.005
    assert result.outliers is not None and 0.03 < result.outliers < 0.12


@pytest.mark.parametrize("people", ["CHB", "GBR", "YRI"])
def test_ancestry_is_found_with_a_panel(shared_data: Path, people: str) -> None:
    folder = shared_data / "contamination"
    prefix = folder / "1000g.phase3.10k.b38.vcf.gz.dat"
    sites = read_sites(Path(f"{prefix}.UD"))
    assert sites.loadings is not None
    labels = dict(line.split()[:2] for line in (folder / "1000g.pop").read_text().splitlines())
    coordinates = np.array(
        [
            [float(x) for x in fields[1:]]
            for line in Path(f"{prefix}.V").read_text().splitlines()
            if labels.get((fields := line.split())[0]) == people
        ]
    ).mean(axis=0)
    true = np.clip(sites.frequency + sites.loadings @ coordinates / 2, 0.005, 0.995)
    counts = mixture(np.random.default_rng(3), true, 0.03)

    result = estimate(counts, frequency=sites.frequency, loadings=sites.loadings)
    assert result.alpha == pytest.approx(0.03, abs=0.004)
    assert result.alpha == pytest.approx(estimate(counts, frequency=true).alpha, abs=0.0005)
    assert result.ancestry == pytest.approx(tuple(coordinates), abs=0.004)

    without = estimate(counts, frequency=sites.frequency)
    assert without.alpha is not None and without.alpha < result.alpha - 0.002, "the mean frequency misleads"


def test_ancestry_is_found_with_a_small_panel() -> None:
    rng = np.random.default_rng(4)
    mean, loadings = rng.uniform(0.2, 0.8, 3000), rng.normal(0, 5, (3000, 2))
    coordinates = np.array([0.04, -0.03])
    true = np.clip(mean + loadings @ coordinates / 2, 0.005, 0.995)
    result = estimate(mixture(rng, true, 0.05), frequency=mean, loadings=loadings)
    assert result.alpha == pytest.approx(0.05, abs=0.004)
    assert result.ancestry == pytest.approx(tuple(coordinates), abs=0.005)


def few(sites: int, *, depth: float = 30, alpha: float = 0.0) -> Estimate:
    rng = np.random.default_rng(6)
    frequency = rng.uniform(0.1, 0.9, sites)
    return estimate(mixture(rng, frequency, alpha, depth=depth), frequency=frequency)


@pytest.mark.parametrize(
    ("result", "failure"),
    [
        (few(0), "too_few_sites"),
        (few(99), "too_few_sites"),
        (few(2000, depth=3), "too_shallow"),
        (few(2000, alpha=0.5), "at_boundary"),
        (few(110, depth=6, alpha=0.02), "too_uncertain"),
    ],
)
def test_poor_data_give_a_failure(result: Estimate, failure: str) -> None:
    assert (result.alpha, result.failure) == (None, failure)


def test_sites_of_another_reference_give_no_estimate() -> None:
    rng = np.random.default_rng(7)
    depth = rng.poisson(30, 1000) + 1
    alt = (depth * rng.uniform(0.1, 0.9, 1000)).astype(np.int64)
    counts = Counts(
        ref=(depth - alt)[:, None], alt=alt[:, None], other=np.zeros(1000, np.int64), error=np.array([0.001])
    )
    result = estimate(counts, frequency=rng.uniform(0.05, 0.2, 1000))
    assert result.alpha is None
    assert result.failure in ("sites_do_not_fit", "at_boundary")


@pytest.mark.parametrize(("share", "low", "high"), [(0.0, 0.0, 0.002), (0.1, 0.08, 0.125)])
def test_reads_of_two_people(tmp_path: Path, share: float, low: float, high: float) -> None:
    rng = np.random.default_rng(8)
    people = population(tmp_path)
    person, other = people.person(rng), people.person(rng)
    bam = people.write_reads(tmp_path / "mixed.bam", [(person, 1 - share), (other, share)], depth=30, rng=rng)
    sites = people.write_sites(tmp_path / "sites.vcf.gz")
    output = tmp_path / "contamination.json"
    result = contamination.measure(bam, reference=people.fasta, sites=sites, output=output)
    assert result.alpha is not None
    assert low <= result.alpha <= high
    assert contamination.read_estimate(output) == result


def test_without_reads_or_sites_the_failure_has_the_reason(tmp_path: Path) -> None:
    for cram, failure in ((None, "no_reads"), (tmp_path / "reads.cram", "no_sites_configured")):
        result = contamination.assess(cram, reference=tmp_path / "reference.fa", sites=None)
        assert (result.alpha, result.failure) == (None, failure)


SELF_SM = (
    "#SEQ_ID\tRG\tCHIP_ID\t#SNPS\t#READS\tAVG_DP\tFREEMIX\tFREELK1\tFREELK0\n"
    "P0\tNA\tNA\t{sites}\t2511922\t{depth}\t{alpha}\t-665701\t-667158\n"
)


@pytest.mark.parametrize(
    ("sites", "depth", "alpha", "failure"),
    [
        ("100000", "25.1", "0.0017", None),
        ("40", "25.1", "0.0017", "too_few_sites"),
        ("100000", "1.2", "0.0017", "too_shallow"),
        ("100000", "25.1", "0.5", "at_boundary"),
        ("100000", "25.1", "nan", "no_convergence"),
        ("100000", "25.1", "NA", "verifybamid2_failed"),
    ],
)
def test_the_output_of_verifybamid2_is_read(sites: str, depth: str, alpha: str, failure: str | None) -> None:
    result = estimate_of_self_sm(SELF_SM.format(sites=sites, depth=depth, alpha=alpha))
    assert result.failure == failure
    assert result.alpha == (None if failure else 0.0017)
    assert result.method == "verifybamid2"


@pytest.mark.parametrize("text", ["", "#SEQ_ID\tFREEMIX\n", "#SEQ_ID\tFREEMIX\nP0\n"])
def test_a_broken_answer_of_verifybamid2_is_a_failure(text: str) -> None:
    assert estimate_of_self_sm(text).failure == "verifybamid2_failed"


@pytest.mark.parametrize("works", [True, False])
def test_verifybamid2_is_used_where_it_is_installed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, works: bool
) -> None:
    """A script in its place notes its arguments."""
    for ending in ("UD", "mu", "bed"):
        (tmp_path / f"panel.{ending}").touch()
    program = tmp_path / "verifybamid2"
    answer = SELF_SM.format(sites=100000, depth=30, alpha=0.0123).replace("\t", "\\t").replace("\n", "\\n")
    program.write_text(
        "#!/bin/sh\n"
        f'echo "$@" > {tmp_path}/called\n'
        'while [ "$1" != --Output ]; do shift; done\n' + (f"printf '{answer}' > $2.selfSM\n" if works else "exit 1\n"),
        encoding="utf-8",
    )
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    result = contamination.assess(tmp_path / "a.cram", reference=tmp_path / "r.fa", sites=tmp_path / "panel.UD")
    assert (result.alpha, result.failure) == ((0.0123, None) if works else (None, "verifybamid2_failed"))
    called = (tmp_path / "called").read_text(encoding="utf-8")
    assert called.startswith(
        f"--SVDPrefix {tmp_path}/panel --Reference {tmp_path}/r.fa --BamFile {tmp_path}/a.cram --NumPC 4 --Output "
    )
