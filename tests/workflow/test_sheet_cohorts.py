"""Cohorts of published tables alone, from sheets to a report; what the tables get wrong is told, not joined away."""

from functools import cache
from itertools import combinations

import numpy as np
import pandas as pd
import pytest
from sheet_cohorts import (
    build_riaz,
    build_sccomp,
    build_snyder,
    riaz_metrics,
    sccomp_counts,
    snyder_repertoires,
)
from workflow.runs import copy_checkout, dry_run, run_snakemake

from immune_landscape.cohort import examine_cohort

BUILDERS = {"snyder2017": build_snyder, "riaz2017": build_riaz, "sccomp": build_sccomp}
# Patients of Snyder 2017 without a clinical row, and how many samples they have.
WITHOUT_ROW = {"0979": 2, "4072": 4, "7592": 3, "8214": 4, "9854": 1}
# Contrast -> patients per group and difference in the change of clonality, with the RECIST of the clinical table
# (see tests/science/test_golden_permutation.py).
GOLDEN = {"blood_a_to_b": (7, 14, 0.0240), "blood_a_to_c": (7, 13, 0.0150)}


@pytest.fixture(scope="module")
def sheet_run(tmp_path_factory):
    """Return a function that builds a cohort and runs it once."""

    @cache
    def run(name):
        tree = copy_checkout(tmp_path_factory.mktemp(name) / "checkout")
        BUILDERS[name](tree / "config" / "cohorts" / name)
        return run_snakemake(tree, f"config/cohorts/{name}", "--cores", "2")

    return run


def rows_of(run, layer, **wanted):
    table = run.table(f"compare_values/{layer}/contrasts.tsv")
    for column, value in wanted.items():
        table = table[table[column] == value]
    return table


def only_row(run, layer, **wanted):
    (row,) = rows_of(run, layer, **wanted).to_dict("records")
    return row


def permutation_p(values, is_a):
    """Enumerate all labelings and return the share whose Welch statistic is as large, without the product's code."""
    count, chosen = len(values), int(is_a.sum())
    places = np.array(list(combinations(range(count), chosen)))
    labels = np.zeros((len(places), count), dtype=bool)
    np.put_along_axis(labels, places, True, axis=1)
    labels = np.vstack([is_a, labels])

    def moments(members):
        n = members.sum(axis=1)
        mean = members @ values / n
        return mean, (members @ values**2 - n * mean**2) / (n - 1) / n

    (mean_a, error_a), (mean_b, error_b) = moments(labels), moments(~labels)
    welch = np.abs(mean_a - mean_b) / np.sqrt(error_a + error_b)
    return float((welch[1:] >= welch[0] * (1 - 1e-9)).mean()), len(places)


def test_raw_snyder_tells_missing_rows_and_conflicts_and_joins_nothing_away(tmp_path):
    cohort, problems = examine_cohort(build_snyder(tmp_path / "snyder2017", raw=True))
    orphans = [problem for problem in problems if problem.kind == "unknown_patient"]
    named = pd.Series([problem.message.split("'")[1] for problem in orphans]).value_counts().to_dict()
    assert named == WITHOUT_ROW
    assert len({problem.line for problem in orphans}) == sum(WITHOUT_ROW.values())
    others = [problem for problem in problems if problem.kind != "unknown_patient"]
    assert {problem.column for problem in others} == {"best_response"}
    blanks = [problem for problem in others if "probably PD, with a blank around it" in problem.message]
    assert len(blanks) == 2
    assert len(others) == 2 + 4  # four patients with a row were only scanned at baseline
    told = {cohort.patients["patient"][note.line - 2]: note.message for note in cohort.notes if disagrees(note)}
    print(
        f"raw Snyder: {len(orphans)} samples of {len(named)} patients without a row, sources disagree on {sorted(told)}"
    )
    assert told["2937"] == "best_response is 'SD', tcr_response is 'PD'"
    assert told["6800"] == "best_response is 'SD', tcr_response is 'PR'"
    # "PD " and "PD" agree; "Only scanned baseline" and "Only scanned at baseline" are two texts.
    assert set(told) == {"2937", "6800", "0040", "9723", "9881"}


def disagrees(note):
    return note.kind == "sources_disagree"


def test_a_raw_run_stops_before_any_job_with_every_sample_named(checkout, tmp_path):
    folder = build_snyder(tmp_path / "snyder2017", raw=True)
    run = dry_run(checkout, folder)
    assert run.code != 0
    assert "Traceback" not in run.text
    assert run.jobs() == {}
    assert run.text.count("is not in patients.tsv") == sum(WITHOUT_ROW.values())
    assert "20 problems in 2 files" in run.text


def test_snyder_with_rows_added_is_sound_and_its_notes_tell_what_is_left_out(tmp_path):
    cohort, problems = examine_cohort(build_snyder(tmp_path / "snyder2017"))
    assert problems == []
    assert len(cohort.patients) == 30
    assert len(cohort.samples) == 117
    by_kind = pd.Series([note.kind for note in cohort.notes]).value_counts()
    assert by_kind[["sources_disagree", "no_response", "line_ends"]].tolist() == [2, 5, 2]


@pytest.mark.slow
@pytest.mark.parametrize("name", BUILDERS)
def test_sheets_alone_run_to_a_report(sheet_run, name):
    run = sheet_run(name)
    print(f"{name}: {sum(run.jobs().values())} jobs in {run.seconds:.0f} s")
    assert run.code == 0, run.text[-5000:]
    assert "Traceback" not in run.text
    assert (run.results / "report.html").stat().st_size > 100_000


@pytest.mark.slow
def test_snyder_notes_reach_the_results(sheet_run):
    notes = sheet_run("snyder2017").table("check_inputs/notes.tsv")
    left_out = notes.loc[notes["kind"] == "no_response", "message"]
    assert {message.split()[0]: int(message.split()[3]) for message in left_out} == WITHOUT_ROW
    conflicts = notes.loc[notes["kind"] == "sources_disagree", "message"]
    assert sorted(conflicts) == [
        "best_response is 'SD', tcr_response is 'PD'",
        "best_response is 'SD', tcr_response is 'PR'",
    ]


@pytest.mark.slow
@pytest.mark.parametrize("contrast", GOLDEN)
def test_snyder_gives_the_golden_differences_and_an_exact_p(sheet_run, contrast):
    run = sheet_run("snyder2017")
    row = only_row(run, "measures", contrast=contrast, feature="clonality")
    assert (row["n_a"], row["n_b"]) == GOLDEN[contrast][:2]
    assert round(float(row["effect"]), 4) == GOLDEN[contrast][2]
    table = run.table("compare_values/measures/differences.tsv")
    table = table[(table["contrast"] == contrast) & (table["feature"] == "clonality")]
    p, labelings = permutation_p(table["difference"].to_numpy(float), (table["group"] == "responder").to_numpy())
    print(f"{contrast}: {row['effect']}, p {row['p']} of the workflow, {p:.6f} of {labelings} labelings")
    assert float(row["p"]) == pytest.approx(p, abs=2e-6)
    assert row["status"] == "tested"


@pytest.mark.slow
def test_snyder_measures_are_compared_on_their_scale(sheet_run):
    run = sheet_run("snyder2017")
    table, loaded = snyder_repertoires().set_index("sample"), run.table("load_measures/values.tsv")
    units = loaded.drop_duplicates("feature").set_index("feature")["unit"].to_dict()
    assert units["templates"] == "log templates"
    assert units["t_cell_share"] == units["top_clone_share"] == "log odds"
    values = loaded.set_index(["feature", "sample"])["value"]
    for sample, percent in (("0471_blood_A", 41.10786079), ("0471_tumour_A", 6.66)):
        assert float(values["t_cell_share", sample]) == pytest.approx(np.log(percent / (100 - percent)), abs=1e-5)
        unique = float(table.loc[sample, "Productive Unique TCRs (cnt)"])
        assert float(values["unique_tcrs", sample]) == pytest.approx(np.log(unique), abs=1e-4)


@pytest.mark.slow
def test_riaz_gives_the_published_medians_within_strata(sheet_run):
    run = sheet_run("riaz2017")
    row = only_row(run, "measures", contrast="response_by_visit", feature="clonality")
    assert (row["n_a"], row["n_b"]) == (8, 25)
    assert "labels permuted within ipilimumab; 2 of 2 strata hold both groups" in row["note"]
    table = run.table("compare_values/measures/differences.tsv")
    change = table[(table["contrast"] == "change") & (table["feature"] == "clonality")]
    published = riaz_metrics().set_index("patient")["myBOR"]
    medians = change["difference"].astype(float).groupby(change["patient"].map(published)).median().round(3)
    print(f"riaz: median change of clonality {medians.to_dict()}, effect {row['effect']}, p {row['p']}")
    assert len(change) == 34
    # Medians of the rounded columns before and on treatment; PRCR +0.055, SD +0.008, PD +0.018 as published.
    assert medians.to_dict() == pytest.approx({"PRCR": 0.055, "SD": 0.008, "PD": 0.018}, abs=0.001)
    notes = run.table("check_inputs/notes.tsv")
    conflicts = notes[notes["kind"] == "sources_disagree"]
    assert conflicts["message"].tolist() == ["best_response is 'NE', metrics_response is 'PD'"]


@pytest.mark.slow
def test_sccomp_compares_groups_of_a_declared_column(sheet_run):
    run = sheet_run("sccomp")
    table = rows_of(run, "populations").set_index("feature")
    assert len(table) == 36
    tested = table[table["status"] == "tested"]
    assert set(tested["n_a"]) == set(tested["n_b"]) == {10}
    assert set(tested["group_a"]) == {"cancer"}
    counts = sccomp_counts().astype({"count": float})
    few = (counts["count"] < 20).groupby(counts["cell_group"]).mean() > 0.3
    assert set(table.index) - set(tested.index) == set(few.index[few])
    counts["rest"] = counts.groupby("sample")["count"].transform("sum") - counts["count"]
    counts["log_odds"] = np.log((counts["count"] + 0.5) / (counts["rest"] + 0.5))
    means = {kind: part.groupby("cell_group")["log_odds"].mean() for kind, part in counts.groupby("type")}
    expected = (means["cancer"] - means["benign"])[tested.index]
    found = tested["effect"].astype(float)
    print(f"sccomp: {len(tested)} clusters tested, effects differ from means by {(found - expected).abs().max():.1e}")
    assert np.allclose(found, expected, atol=2e-5)
    notes = run.table("check_inputs/notes.tsv")
    assert notes.loc[notes["kind"] == "summed_parent", "message"].str.contains("the sum of its 36").tolist() == [True]
