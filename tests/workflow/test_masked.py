"""A blinded cohort: whoever got which arm, response or outcome, every result has the same bytes."""

import gzip
import re
import shutil

import h5py
import numpy as np
import pandas as pd
import pytest
from workflow.runs import ROOT, copy_checkout, run_snakemake, sha256s, write_tiny

ARMS = ("arm_of_zebras", "arm_of_quokkas")
ARM_COLUMNS = ["arm", "dose_level", "product_origin", "donor_sex"]
OUTCOME_COLUMNS = [
    *("best_response", "second_reader", "evaluable", "dlt_evaluable", "dlt"),
    *("pfs_time", "pfs_event", "os_time", "os_event"),
]
COHORT = "config/cohorts/masked"
# Rules that read the sheets again; a simulation has to know what it plants in whom.
READERS = {"check_inputs", "simulate_cohort"}


def read_sheet(folder, name):
    return pd.read_csv(folder / f"{name}.tsv", sep="\t", dtype=str, keep_default_na=False)


def write_sheet(table, folder, name):
    table.to_csv(folder / f"{name}.tsv", sep="\t", index=False)


def write_masked(tree, files):
    """Write the tiny cohort, masked, with the simulated files as if they were measured."""
    extra = {"patients": {"second_reader": {"type": "string", "same_as": "best_response"}}}
    quick = {"testing": {"null_draws": 200}, "sweep_labels": {"seeds": 1, "resolution_factors": [1.0]}}
    folder = write_tiny(tree / COHORT, unblinded=False, data_root="data", extra_columns=extra, **quick)
    shutil.copytree(files, folder / "data")
    patients = read_sheet(folder, "patients")
    patients = patients.assign(
        arm=[ARMS[i % 2] for i in range(len(patients))],
        product_origin=["allogeneic", "none"] * (len(patients) // 2),
        second_reader=["PR", *patients["best_response"][1:]],
    )
    patients.loc[2, "best_response"] = ""
    write_sheet(patients, folder, "patients")
    return folder


def permute(folder):
    """Deal arms, and apart from them outcomes, to other patients."""
    patients = read_sheet(folder, "patients")
    before = patients.copy()
    for columns, step in ((ARM_COLUMNS, 1), (OUTCOME_COLUMNS, 3)):
        patients[columns] = np.roll(patients[columns].to_numpy(), step, axis=0)
    changed = [name for name in patients if not patients[name].equals(before[name])]
    assert {"arm", "best_response", "second_reader", "pfs_time", "os_time", "os_event"} <= set(changed)
    write_sheet(patients, folder, "patients")


@pytest.fixture(scope="module")
def data_files(tmp_path_factory):
    """Simulate the files of the tiny cohort and nothing else; return the checkout and the folder of files."""
    tree = copy_checkout(tmp_path_factory.mktemp("source") / "checkout")
    write_tiny(tree / "config/cohorts/source")
    run = run_snakemake(tree, "config/cohorts/source", "simulate_cohort", "--cores", "2")
    # One target alone ends without a report, which the exit code tells; the files are there or not.
    assert (run.results / "simulate_cohort" / "truth.json").exists(), run.text[-3000:]
    return tree, run.results / "simulate_cohort"


@pytest.fixture(scope="module")
def masked_runs(data_files, tmp_path_factory):
    """Run the masked cohort as it is, and with all that is masked dealt to other patients."""
    source, files = data_files
    runs = []
    for name, change in (("first", False), ("second", True)):
        tree = copy_checkout(tmp_path_factory.mktemp(name) / "checkout", source)
        folder = write_masked(tree, files)
        if change:
            permute(folder)
        runs.append(run_snakemake(tree, COHORT, "--cores", "2"))
        shutil.rmtree(folder / "data")
    return runs


def text_of(path):
    """Return all text in a file that was written: as it is, unpacked, or the strings of an HDF5 file."""
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix not in (".h5ad", ".h5"):
        return path.read_bytes()
    found = []

    def visit(name, item):
        found.append(name.encode())
        if isinstance(item, h5py.Dataset) and h5py.check_string_dtype(item.dtype):
            found.append(repr(item[()]).encode() if item.shape == () else b"\n".join(map(bytes, item[()].ravel())))

    with h5py.File(path) as file:
        file.visititems(visit)
    return b"\n".join(found)


@pytest.mark.slow
def test_masked_cohorts_run_to_a_report(masked_runs):
    for run in masked_runs:
        assert run.code == 0, run.text[-5000:]
        assert (run.results / "report.html").stat().st_size > 100_000
    print(f"masked runs: {[f'{run.seconds:.0f} s, {sum(run.jobs().values())} jobs' for run in masked_runs]}")


@pytest.mark.slow
def test_permuting_what_is_masked_changes_no_byte(masked_runs):
    first, second = (sha256s(run.results) for run in masked_runs)
    differing = sorted(name for name in first.keys() | second.keys() if first.get(name) != second.get(name))
    print(f"masked: {len(first)} files, {len(differing)} differ after arm, response and outcome were permuted")
    assert len(first) > 50
    assert {"check_inputs/design.tsv", "check_inputs/inputs.tsv", "check_inputs/notes.tsv"} <= set(first)
    assert differing == []


@pytest.mark.slow
def test_no_file_names_an_arm(masked_runs):
    run = masked_runs[0]
    folders = (run.results, run.tree / "logs" / run.results.name)
    files = [path for folder in folders for path in folder.rglob("*") if path.is_file()]
    naming = [path.name for path in files if any(arm.encode() in text_of(path) for arm in ARMS)]
    print(f"masked: {len(files)} files, report and logs included, {len(naming)} of them name an arm")
    assert (run.results / "report.html") in files
    assert naming == []


@pytest.mark.slow
def test_the_change_in_all_patients_is_tested_and_no_difference_between_groups(masked_runs):
    found = {path.parent: pd.read_csv(path, sep="\t") for path in masked_runs[0].results.rglob("contrasts.tsv")}
    tested = {folder.name: set(table.loc[table["p"].notna(), "estimand"]) for folder, table in found.items()}
    print(f"masked, estimands tested by table: {tested}")
    assert "compare_composition" in tested
    assert set().union(*tested.values()) == {"change"}
    notes = masked_runs[0].table("check_inputs/notes.tsv")
    assert {"blinded", "masked"} <= set(notes["kind"])
    assert not {"sources_disagree", "no_response"} & set(notes["kind"])


def test_only_the_check_and_the_simulation_read_the_sheets():
    blocks = {}
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        parts = re.split(r"^ *rule (\w+):\n", path.read_text(encoding="utf-8"), flags=re.M)
        blocks |= dict(zip(parts[1::2], parts[2::2], strict=True))
    # What another rule wrote is no sheet: check_inputs masks the design that all of them read.
    results = re.compile(r'"<results>/[^"]*"')
    sheets = re.compile(r"sheets\(\)|study=FOLDER|patients\.tsv")
    reading = {rule for rule, text in blocks.items() if sheets.search(results.sub("", text))}
    assert len(blocks) > 30
    assert reading == READERS
