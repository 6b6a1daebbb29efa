"""Files besides the sheets: found, checked, and told with all other problems."""

import pickle

import pytest
from cohort_folders import SOUND_YAML, write_cohort

from immune_landscape.check_inputs import problems_of
from immune_landscape.cohort import read_cohort
from immune_landscape.errors import ProblemsError
from immune_landscape.further_files import find_origins, find_reference, further_problems, missing_reference
from immune_landscape.plan import make_plan

REFERENCE = "reference: {file: model.pkl, sha256: " + "ab" * 32 + "}\n"


def test_a_cohort_without_further_files_has_no_problem_with_them(tmp_path):
    cohort = read_cohort(write_cohort(tmp_path / "c"))
    assert find_origins(cohort) == ""
    assert find_reference(cohort) == ""
    assert not missing_reference(cohort)
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
