"""Files that were swapped on disk: the header of a file names its participant, not its place."""

from __future__ import annotations

from pathlib import Path

import pysam
import pytest
from baekman import pseudonyms
from baekman.cli import app
from baekman.errors import InputRefused
from baekman.genome.shards import Shard, format_shards
from baekman.workspace.sample_check import require_owner
from support.delivery_builder import gvcf_text, write_alignment, write_gvcf, write_reference
from typer.testing import CliRunner

ONE, OTHER = pseudonyms.new("P"), pseudonyms.new("P")
SECRET = "HONG-GILDONG"


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Path]:
    folder = tmp_path_factory.mktemp("files")
    reference = write_reference(folder)
    made = {}
    for number, sample in enumerate((ONE, OTHER, SECRET)):
        gvcf, cram = folder / str(number) / "calls.g.vcf.gz", folder / str(number) / "aligned.cram"
        gvcf.parent.mkdir()
        write_gvcf(gvcf, gvcf_text(reference, sample=sample))
        write_alignment(cram, reference, sample=sample, seed=number)
        made |= {(sample, "gvcf"): gvcf, (sample, "cram"): cram}
    return made


@pytest.mark.parametrize("kind", ["gvcf", "cram"])
def test_the_file_of_the_participant_passes(files: dict[tuple[str, str], Path], kind: str) -> None:
    require_owner(files[ONE, kind], participant=ONE)


@pytest.mark.parametrize("kind", ["gvcf", "cram"])
@pytest.mark.parametrize(
    ("sample", "found"), [(OTHER, f"the sample {OTHER}"), (SECRET, "another sample")], ids=["participant", "name"]
)
def test_the_file_of_another_sample_is_refused(
    files: dict[tuple[str, str], Path], kind: str, sample: str, found: str
) -> None:
    with pytest.raises(InputRefused) as refused:
        require_owner(files[sample, kind], participant=ONE)
    assert [str(problem) for problem in refused.value.problems] == [
        f"participants/{ONE}/{files[sample, kind].name}: header: expected the sample {ONE}, found {found}; "
        "files of two participants may have been swapped: find out how, and put each in its place"
    ]


def test_a_file_with_two_samples_or_no_sample_is_refused(tmp_path: Path) -> None:
    reference = write_reference(tmp_path / "r")
    write_gvcf(tmp_path / "two.g.vcf.gz", gvcf_text(reference, sample=ONE, samples=[OTHER]))
    write_alignment(tmp_path / "none.cram", reference, sample=None, seed=1)
    pysam.tabix_compress(str(reference), str(tmp_path / "no.vcf.gz"))
    for name in ("two.g.vcf.gz", "none.cram", "no.vcf.gz"):
        with pytest.raises(InputRefused, match="found another sample"):
            require_owner(tmp_path / name, participant=ONE)


@pytest.mark.parametrize("step", ["call", "metrics", "metrics with an array"])
def test_the_steps_check_the_sample_before_they_work(
    files: dict[tuple[str, str], Path], tmp_path: Path, step: str
) -> None:
    from baekman.cli.shared import groups

    if not app.registered_groups:
        groups.register(app)
    cram, output = str(files[OTHER, "cram"]), tmp_path / "out"
    shards = tmp_path / "shards.tsv"
    shards.write_text(format_shards([Shard(name="0001", contig="chr1", start=1, end=3000)]))
    words = {
        "call": [cram, "--shards", str(shards)],
        "metrics": ["--cram", cram],
        "metrics with an array": ["--cram", str(files[ONE, "cram"]), "--array", str(files[OTHER, "gvcf"])],
    }[step]
    common = ["--delivery", "D0", "--participant", ONE, "--reference", "r.fa", "--output", str(output)]
    result = CliRunner().invoke(app, ["step", step.split()[0], *words, *common])
    assert isinstance(result.exception, InputRefused)
    assert f"found the sample {OTHER}" in str(result.exception)
    assert not output.exists()
