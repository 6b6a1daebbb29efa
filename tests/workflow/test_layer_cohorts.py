"""Cohorts of one kind of data alone run to a report: tables of flow cytometry, or bulk repertoires."""

import shutil

import numpy as np
import pandas as pd
import pytest
import yaml
from cohort_folders import tsv
from datasets import shared_data
from workflow.runs import ROOT, copy_checkout, dry_run, run_snakemake
from workflow.test_sheet_cohorts import permutation_p

DATA = {"immdata": ("immunarch_immdata",), "hsct": ("britanova_vdjtools_bulk_tcrb", "hsct")}
COMPARED = {"compare_values", "draw_values", "merge_contrasts", "sweep_definitions", "model_visits"}
ALWAYS = {"check_inputs", "draw_cohort", "report_cohort", "measure_endpoints"}
BULK = {
    *("load_repertoires", "measure_overlap", "measure_usage", "draw_repertoires"),
    *("share_clones", "draw_sharing", "export_airr"),
}
CONTRAST = {
    "name": "arms",
    "estimand": "arm_by_visit",
    "groups": ["conversion", "systemic"],
    "reference": "baseline",
    "target": "week_8",
    "features": {"populations": ["CD3-CD56+", "Treg"]},
}


def place(name):
    return {"data_root": str(shared_data(*DATA[name]))}


def run_of(tmp_path_factory, name):
    tree = copy_checkout(tmp_path_factory.mktemp(name) / "checkout")
    return run_snakemake(tree, f"tests/cohorts/{name}", "--cores", "2", config=place(name))


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    return run_of(tmp_path_factory, "immdata")


@pytest.fixture(scope="module")
def followed(tmp_path_factory):
    return run_of(tmp_path_factory, "hsct")


@pytest.fixture(scope="module")
def gated(tmp_path_factory):
    """Run the blood of a trial as flow cytometry tells it: no file of a sample, no response, no time."""
    tree = copy_checkout(tmp_path_factory.mktemp("gated") / "checkout")
    folder = tree / "config" / "cohorts" / "gated"
    folder.mkdir()
    write_gated(folder)
    return run_snakemake(tree, "config/cohorts/gated", "--cores", "2")


def write_gated(folder):
    trial = ROOT / "config" / "cohorts" / "gastric_conversion"
    kept = {"patients": ["patient", "arm"], "samples": ["sample", "patient", "visit"], "populations": None}
    sheets = {
        name: pd.read_csv(trial / f"{name}.tsv", sep="\t", dtype=str, keep_default_na=False, usecols=columns)
        for name, columns in kept.items()
    }
    sheets["samples"] = sheets["samples"][sheets["samples"]["sample"].isin(sheets["populations"]["sample"])]
    for name, table in sheets.items():
        folder.joinpath(f"{name}.tsv").write_text(tsv(list(table), table.to_numpy().tolist()), encoding="utf-8")
    described = {"title": "Gates alone (simulated)", "simulated": True, "visits": ["baseline", "week_8", "month_6"]}
    folder.joinpath("cohort.yaml").write_text(yaml.safe_dump(described | {"contrasts": [CONTRAST]}), encoding="utf-8")


def finished(run):
    assert run.code == 0, run.text[-5000:]
    assert "Traceback" not in run.text
    page = (run.results / "report.html").read_text(encoding="utf-8")
    summary = (run.results / "report_cohort" / "summary.html").read_text(encoding="utf-8")
    print(f"{run.cohort}: {sum(run.jobs().values())} jobs in {run.seconds:.0f} s")
    assert len(page) > 100_000
    assert "No claims are declared" in summary
    return run


def test_a_lane_that_holds_one_group_stops_the_run(checkout, tmp_path):
    folder = shutil.copytree(checkout / "tests" / "cohorts" / "immdata", tmp_path / "immdata")
    for name in ("samples.tsv", "cohort.yaml"):
        text = folder.joinpath(name).read_text(encoding="utf-8")
        text = text.replace("\tlane\t", "\tbatch\t").replace("  samples:\n    lane: ", "  samples:\n    unused: ")
        folder.joinpath(name).write_text(text, encoding="utf-8")
    run = dry_run(checkout, folder, config=place("immdata"))
    assert run.code != 0
    assert "Traceback" not in run.text
    assert "not estimable: every batch holds one status only" in run.text


@pytest.mark.slow
def test_bulk_repertoires_alone_are_compared_between_patients(compared):
    run = finished(compared)
    assert set(run.jobs()) == ALWAYS | COMPARED | BULK | {"measure_repertoires"}
    values = run.table("measure_repertoires/values.tsv")
    values = values[values["feature"] == "clonality"].set_index("sample")["value"].astype(float)
    status = run.table("check_inputs/design.tsv").set_index("sample")["status"].reindex(values.index)
    p, labelings = permutation_p(values.to_numpy(), (status == "ms").to_numpy())
    rows = run.table("compare_values/repertoires/contrasts.tsv")
    (row,) = rows[rows["feature"] == "clonality"].to_dict("records")
    print(f"immdata: clonality {row['effect']}, p {row['p']} of the workflow, {p:.6f} of {labelings} labelings")
    assert (row["n_a"], row["n_b"], int(row["labelings"])) == (6, 6, labelings)
    difference = values[status == "ms"].mean() - values[status != "ms"].mean()
    assert float(row["effect"]) == pytest.approx(difference, abs=1e-6)
    assert float(row["p"]) == pytest.approx(p, abs=2e-6)


@pytest.mark.slow
def test_clonality_of_the_smallest_repertoire_is_that_of_its_file(compared):
    depths = compared.table("load_repertoires/depths.tsv").set_index("sample")["templates"].astype(int)
    sample = str(depths.idxmin())
    rows = pd.read_csv(shared_data("immunarch_immdata", f"{sample}.tsv.gz"), sep="\t")
    rows = rows[~rows["CDR3.aa"].str.contains(r"[*~_]")]
    share = rows.groupby(["CDR3.nt", "V.name", "J.name"])["Clones"].sum() / rows["Clones"].sum()
    values = compared.table("measure_repertoires/values.tsv").set_index(["sample", "feature"])["value"]
    expected = 1 + (share * np.log(share)).sum() / np.log(len(share))
    # All samples are brought to its depth, so that of itself nothing is left out.
    assert float(values[sample, "clonality"]) == pytest.approx(expected, abs=1e-6)


@pytest.mark.slow
def test_bulk_repertoires_of_one_patient_are_followed_and_nothing_is_compared(followed):
    run = finished(followed)
    assert set(run.jobs()) == ALWAYS | BULK | {"track_clones", "draw_tracks"}
    table = run.table("track_clones/bulk_tcr/summary.tsv")
    table = table[(table["standardised"].astype(str) == "False") & (table["feature"] == "share_persistent")]
    shares = {visit: float(value) for visit, value in zip(table["visit"], table["value"], strict=True)}
    # Printed 0.488, 0.326 and 0.259 are of all rows; these are of the productive ones.
    assert list(shares) == ["month_4", "month_10", "month_37"]
    assert shares == pytest.approx({"month_4": 0.488, "month_10": 0.326, "month_37": 0.259}, abs=0.012)
    summary = (run.results / "report_cohort" / "summary.html").read_text(encoding="utf-8")
    assert "No contrast was compared" in summary


@pytest.mark.slow
def test_gates_alone_are_compared_between_arms(gated):
    run = finished(gated)
    assert set(run.jobs()) == ALWAYS | COMPARED | {"measure_populations"}
    counts = run.table("check_inputs/populations.tsv").set_index(["sample", "population"])["count"].astype(float)
    design = run.table("check_inputs/design.tsv")
    rows = run.table("compare_values/populations/contrasts.tsv").set_index("feature")
    name = "CD3-CD56+"
    (row,) = rows[rows.index.str.contains(name, regex=False)].to_dict("records")
    cells = design.pivot_table(index="patient", columns="visit", values="sample", aggfunc="first")
    odds = (
        cells[["baseline", "week_8"]]
        .dropna()
        .map({sample: log_odds(counts, sample, name, "Lymphocytes") for sample in design["sample"]}.get)
    )
    arm = design.drop_duplicates("patient").set_index("patient")["arm"].reindex(odds.index)
    assert (row["n_a"], row["n_b"]) == ((arm == "conversion").sum(), (arm == "systemic").sum())
    # The contrast between arms is adjusted for the baseline: least squares here.
    terms = np.column_stack([np.ones(len(odds)), arm == "conversion", odds["baseline"]])
    fit = np.linalg.lstsq(terms, (odds["week_8"] - odds["baseline"]).to_numpy(), rcond=None)[0]
    print(f"gates: {name} {row['effect']} of the workflow, {fit[1]:.6f} by least squares")
    assert float(row["effect"]) == pytest.approx(fit[1], abs=2e-5)


def log_odds(counts, sample, population, parent):
    inside = counts[sample, population]
    return float(np.log((inside + 0.5) / (counts[sample, parent] - inside + 0.5)))
