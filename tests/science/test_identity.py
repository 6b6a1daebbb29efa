"""Donor cells and swapped samples: planted in simulated cohorts, and looked for in public data without any."""

import itertools

import numpy as np
import pandas as pd
import pytest
from datasets import shared_data
from identity_cohorts import GENES, RULES, STUDY, pairs_of, simulated, swapped

from immune_landscape.check_identity import check_identity

SHARES = (0.0, 0.02, 0.1, 0.4)


@pytest.fixture(scope="module")
def cohort():
    return simulated(1, cells=400)


def estimates(seed):
    """Return the estimates on treatment for every planted share."""
    tables = []
    for share in SHARES:
        found = check_identity(*simulated(seed, donor_share=share).as_inputs(), **RULES)[2]
        tables.append(found[found["visit"] == "on_treatment"].assign(planted=share))
    return pd.concat(tables, ignore_index=True)


def test_donor_shares_are_found_and_covered(science):
    seeds = range(1, 1 + science.replicates(full=8, quick=1))
    found = pd.concat([estimates(seed) for seed in seeds], ignore_index=True)
    errors = (found["share"] - found["planted"]).abs()
    by_share = found.assign(error=found["share"] - found["planted"]).groupby("planted")["error"]
    print(by_share.agg(["mean", "std", "count"]).to_string())
    n = len(found)
    science.row(
        "annotation/donor_share_error",
        f"mean absolute error of the share of donor NK cells, planted {', '.join(f'{s:.0%}' for s in SHARES)}",
        errors.mean(),
        0,
        0.03,
        n,
    )
    covered = (found["ci_low"] <= found["planted"] + 1e-12) & (found["planted"] <= found["ci_high"])
    print(covered.groupby(found["planted"]).mean().to_string())
    what = "share of 95 % intervals over cells that cover the planted share of donor NK cells"
    science.row("annotation/donor_share_coverage", what, covered.mean(), *science.limits(0.93, 0.995, n), n)
    none = found["planted"] == 0
    called = (found.loc[none, "verdict"] == "donor cells found").mean()
    what = "share of samples without a donor cell in which some are found"
    high = science.limits(0.0, 0.05, int(none.sum()))[1]
    science.row("annotation/donor_cells_from_nowhere", what, called, 0, high, int(none.sum()))


def all_swaps(cohort):
    """Return pairs of samples of two patients: of one visit, and of different visits."""
    samples = list(cohort.design["sample"])
    return [pair for pair in itertools.combinations(samples, 2) if pair[0][:3] != pair[1][:3]]


@pytest.mark.parametrize("receptors", [True, False])
def test_swapped_samples_are_flagged_and_no_others(science, cohort, receptors):
    pairs = all_swaps(cohort)[:: 2 if science.full else 11]
    hits, false, patients = [], 0, 0
    sex = cohort.design.set_index("sample")["sex"]
    for first, second in pairs:
        counts, labels, clonotypes, *rest = swapped(cohort, first, second).as_inputs()
        table = check_identity(counts, labels, clonotypes if receptors else None, *rest, **RULES)[0]
        flagged = set(table.loc[table["verdict"] == "flagged", "patient"])
        involved = {first[:3], second[:3]}
        if receptors or sex[first] != sex[second]:
            hits.append(involved <= flagged)
        false += len(flagged - involved)
        patients += table["patient"].nunique() - 2
    how = "by sex genes and clones" if receptors else "by sex genes alone, patients of different sex"
    name = "annotation/swaps_flagged" + ("" if receptors else "_by_sex")
    science.row(
        name,
        f"share of swapped samples of two patients, 12 in the cohort, flagged {how}",
        np.mean(hits),
        1,
        1,
        len(hits),
    )
    science.row(
        f"{name}_false_alarms", "share of the other patients that are flagged", false / patients, 0, 0, patients
    )


def zhao_contigs():
    folder = shared_data("screpertoire_zhao2021", "contigs")
    names = [path.name.split("_")[0] for path in sorted(folder.glob("*.csv.gz"))]
    tables = [pd.read_csv(folder / f"{name}_filtered_contig_annotations.csv.gz") for name in names]
    return pd.concat([pairs_of(table, name, name[:3]) for table, name in zip(tables, names, strict=True)])


def zhao_design(clonotypes):
    rows = clonotypes[["sample", "patient"]].drop_duplicates().assign(visit="baseline", sex="")
    return rows.assign(donor_sex="", product_origin="").reset_index(drop=True)


def test_real_receptors_of_one_patient_are_shared_and_of_two_are_not(science):
    clonotypes = zhao_contigs()
    samples, clones, _ = check_identity(None, None, clonotypes, None, zhao_design(clonotypes), STUDY, **RULES)
    print(clones.drop(columns=["note"]).to_string())
    false = (samples["clone_verdict"] == "flagged").sum()
    what = "samples of Zhao 2021 flagged for clones of another patient, 27,186 barcodes of 4 patients, blood and lung"
    science.row("annotation/zhao_false_alarms", what, false, 0, 0, len(samples))
    told = samples.set_index("sample")["clone_verdict"]
    assert (told[["P17B", "P17L", "P18B", "P18L"]] == "agrees").all()


def test_real_samples_of_two_patients_that_are_swapped_are_flagged(science):
    right = zhao_contigs()
    found = []
    for first, second in (("P17L", "P18L"), ("P17L", "P19L"), ("P18L", "P19L"), ("P17B", "P18L")):
        sample = right["sample"].replace({first: second, second: first})
        clonotypes = right.assign(sample=sample, patient=sample.str[:3])
        samples = check_identity(None, None, clonotypes, None, zhao_design(clonotypes), STUDY, **RULES)[0]
        flagged = set(samples.loc[samples["verdict"] == "flagged", "patient"])
        found.append(flagged == {first[:3], second[:3]})
    what = "share of swaps between samples of Zhao 2021 in which the two patients and nobody else are flagged"
    science.row("annotation/zhao_swaps_flagged", what, np.mean(found), 1, 1, len(found))


REAL = {
    "kang": ("kang2018_ifnb/kang_muscat_2donor_paired_counts.h5ad", "sample_id"),
    "pbmc5p": ("pbmc_10x_5p_gex_tcr/gex_1k_counts.h5ad", None),
    "10x_1k_v2": ("pbmc_10x_1k_v2_v3/pbmc_1k_v2_counts_allgenes.h5ad", None),
    "10x_1k_v3": ("pbmc_10x_1k_v2_v3/pbmc_1k_v3_counts_filtered.h5ad", None),
    "zhao": ("screpertoire_zhao2021/gex_500cells_2000hvg_counts.h5ad", "orig.ident"),
}
EXPECTED = {
    "kang": {"cannot be determined"},
    "pbmc5p": {"cannot be determined"},
    "10x_1k_v2": {"male"},
    "10x_1k_v3": {"cannot be determined"},
    "zhao": {"male", "female", "cannot be determined"},
}


def real_samples(name):
    """Check the sex of a public set; without labels all cells count as other than NK."""
    anndata = pytest.importorskip("anndata")
    path, column = REAL[name]
    data = anndata.read_h5ad(shared_data(*path.split("/")))
    genes = [gene for gene in GENES if gene in data.var_names]
    counts = data[:, genes].to_df().astype(int)
    counts.insert(0, "molecules", np.asarray(data.X.sum(axis=1)).ravel().astype(int))
    counts.insert(0, "sample", data.obs[column].astype(str).to_numpy() if column else name)
    labels = pd.DataFrame({"lineage": "t", "branch": "t"}, index=counts.index)
    samples = counts["sample"].drop_duplicates()
    patient = samples.str[:3] if name == "zhao" else samples.str.replace(r"^(ctrl|stim)", "", regex=True)
    design = pd.DataFrame({"sample": samples, "patient": patient, "visit": "baseline", "sex": ""})
    design = design.assign(donor_sex="", product_origin="").reset_index(drop=True)
    return check_identity(counts, labels, None, None, design, STUDY, **RULES)[0]


@pytest.mark.parametrize("name", list(REAL))
def test_sex_of_public_samples(name):
    table = real_samples(name)
    columns = ["sample", "cells", "female_per_10k", "male_per_10k", "sex_by_genes", "verdict", "note"]
    print(table[columns].to_string())
    assert set(table["sex_by_genes"]) <= EXPECTED[name]
    assert (table["verdict"] != "flagged").all()


def test_blood_and_lung_of_a_patient_have_one_sex():
    table = real_samples("zhao").set_index("sample")["sex_by_genes"]
    assert list(table[["P17B", "P17L", "P19B", "P19L"]]) == ["male"] * 4
    assert list(table[["P18B", "P18L", "P20B"]]) == ["female"] * 3
    assert table["P20L"] == "cannot be determined"
