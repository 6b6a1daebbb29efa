"""Files besides the sheets: found, checked, and told with all other problems."""

import pickle

import pytest
from cohort_folders import SOUND_YAML, write_cohort

from immune_landscape.check_inputs import problems_of
from immune_landscape.cohort import read_cohort
from immune_landscape.errors import ProblemsError
from immune_landscape.further_files import (
    find_antigens,
    find_origins,
    find_reference,
    further_problems,
    lacks_files,
)
from immune_landscape.plan import make_plan

REFERENCE = "reference: {file: model.pkl, sha256: " + "ab" * 32 + "}\n"
ANTIGENS = "antigens: [{name: one, kind: vdjdb, file: vdjdb.txt, sha256: " + "ab" * 32 + "}]\n"


def test_a_cohort_without_further_files_has_no_problem_with_them(tmp_path):
    cohort = read_cohort(write_cohort(tmp_path / "c"))
    assert find_origins(cohort) == ""
    assert find_reference(cohort) == ""
    assert find_antigens(cohort) == []
    assert not lacks_files(cohort)
    assert further_problems(cohort) == []


def test_samples_of_donor_cells_must_be_known(tmp_path):
    folder = write_cohort(tmp_path / "c")
    rows = ["sample\tbarcode\torigin", "P01_a\tAAAC-1\tdonor", "P99_a\tAAAC-1\tpatient"]
    folder.joinpath("donor_cells.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    found = further_problems(read_cohort(folder))
    assert [problem.kind for problem in found] == ["unknown_sample"]
    assert "P99_a" in found[0].message


def test_bad_origins_are_told_by_line(tmp_path):
    folder = write_cohort(tmp_path / "c")
    rows = ["sample\tbarcode\torigin", "P01_a\tAAAC-1\tmartian"]
    folder.joinpath("donor_cells.tsv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    found = [problem for problem in problems_of(folder) if problem.file == "donor_cells.tsv"]
    assert [(problem.line, problem.column) for problem in found] == [(2, "origin")]
    assert "martian" in found[0].message


def test_a_reference_that_is_not_there_stops_the_plan(tmp_path):
    folder = write_cohort(tmp_path / "c", yaml=SOUND_YAML + REFERENCE)
    with pytest.raises(ProblemsError) as caught:
        make_plan({"cohort": str(folder)}, {})
    assert any(problem.column == "reference.file" and problem.line == 5 for problem in caught.value.problems)


def test_a_reference_with_another_checksum_is_never_opened(tmp_path):
    folder = write_cohort(tmp_path / "c", yaml=SOUND_YAML + REFERENCE)
    folder.joinpath("model.pkl").write_bytes(pickle.dumps({}))
    found = further_problems(read_cohort(folder))
    assert [problem.column for problem in found] == ["reference.file"]
    assert "sha256" in found[0].message


def test_a_snapshot_of_antigens_that_is_not_there_stops_the_plan(tmp_path):
    folder = write_cohort(tmp_path / "c", yaml=SOUND_YAML + ANTIGENS)
    assert lacks_files(read_cohort(folder))
    with pytest.raises(ProblemsError) as caught:
        make_plan({"cohort": str(folder)}, {})
    assert any(problem.column == "antigens[0].file" and problem.line == 5 for problem in caught.value.problems)


def test_a_snapshot_of_antigens_with_another_checksum_is_told_before_any_job(tmp_path):
    folder = write_cohort(tmp_path / "c", yaml=SOUND_YAML + ANTIGENS)
    folder.joinpath("vdjdb.txt").write_text("gene\tcdr3\n", encoding="utf-8")
    assert make_plan({"cohort": str(folder)}, {}).antigens == [str(folder / "vdjdb.txt")]
    (found,) = further_problems(read_cohort(folder))
    assert found.column == "antigens[0].file"
    assert "sha256" in found.message


@pytest.mark.parametrize(
    ("text", "told"), [(None, "cannot be read"), ("cell\tlabel\n", "lacks the columns branch, cluster")]
)
def test_labels_of_an_earlier_run_must_be_such(tmp_path, text, told):
    folder = write_cohort(tmp_path / "c", yaml=SOUND_YAML + "earlier_labels: before.tsv\n")
    if text is not None:
        folder.joinpath("before.tsv").write_text(text, encoding="utf-8")
    [problem] = further_problems(read_cohort(folder))
    assert (problem.column, problem.line) == ("earlier_labels", 5)
    assert told in problem.message
    assert lacks_files(read_cohort(folder)) == (text is None)


def test_sound_labels_of_an_earlier_run_have_no_problem(tmp_path):
    folder = write_cohort(tmp_path / "c", yaml=SOUND_YAML + "earlier_labels: before.tsv\n")
    folder.joinpath("before.tsv").write_text("cell\tbranch\tcluster\n", encoding="utf-8")
    assert further_problems(read_cohort(folder)) == []
