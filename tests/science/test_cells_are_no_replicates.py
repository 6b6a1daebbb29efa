"""No p value counts cells, clones or reads as replicates: patients are the unit of every test."""

import ast
import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from science.simulated_expression import compared_expression, simulate_expression
from science.simulated_layers import EXACT, LAYERS, compared, make_cohort, simulate_composition
from workflow.runs import ROOT

from immune_landscape.seeds import seed_of

TESTING = re.compile(r"scipy\.(stats|special)|statsmodels|lifelines|pydeseq2|pingouin|sksurv")
CELLS = re.compile(r"scanpy|anndata|mudata|scirpy|h5py|igraph|rapids_singlecell")
CALLS = re.compile(r"rank_genes_groups|pvals(_adj)?|ttest\w*|mannwhitneyu|ranksums|wilcoxon|kruskal|f_oneway|ks_2samp")
UNITS = {
    "ambient": "no test: upper limit of a share of molecules",
    "anchors": "no test: ranks genes of a cluster by their rank sum",
    "bridge_measures": "no test: intervals of shares of clones and templates of one sample",
    "clone_depth": "no test: chance of the size of a clone in a subsample",
    "clone_tracking": "templates or cells of one clone of one patient, corrected within the patient",
    "agreement": "no test: rank correlation of two rankings of genes",
    "clinical_checks": "patients, dealt to arms",
    "compare_expression": "patients, from sums of counts",
    "compare_outcomes": "patients, by arm",
    "donor_cells": "no test: interval of a share of cells of one sample",
    "donor_share": "no test: interval of a share of cells of one sample",
    "estimates": "power of a t test between patients",
    "expression_null": "patients, labels permuted",
    "hazards": "patients, time to event",
    "link_outcomes": "patients, time to event",
    "measure_endpoints": "patients, share with response",
    "repertoire_metrics": "no test: interval of a number of one sample",
    "merge_contrasts": "no test: corrects p values of patients",
    "mixed_models": "samples, with patients as random intercepts",
    "model_composition": "samples, with patients as blocks",
    "model_expression": "samples, with patients as blocks",
    "model_visits": "samples, with patients as random intercepts",
    "moderated_t": "patients",
    "programme_effects": "no test: corrects p values of patients",
    "proportions": "patients, share of a group",
    "pseudobulk": "no test: ranks",
    "rarefaction": "no test: expected clonotypes of a subsample",
    "sample_coverage": "no test: share of a repertoire that was seen",
    "set_effects": "patients, labels permuted",
    "sharing_limits": "no test: clones that two patients may share before an alarm",
    "shrinkage": "no test: shrinks effects between patients",
    "survival": "patients, time to event",
}
"""Modules that use a library of tests, and what they count."""

P_COLUMN = re.compile(r"p|p_\w+|padj|pval\w*|p_?value\w*|q|qval\w*|fdr\w*")


def modules():
    for path in sorted((ROOT / "scripts" / "immune_landscape").glob("*.py")):
        yield path.stem, ast.parse(path.read_text(encoding="utf-8"))


def imports(tree):
    """Return what a module imports when it runs, within functions too, but not for types alone."""
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and getattr(node.test, "id", "") == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module, *(f"{node.module}.{alias.name}" for alias in node.names)}
        elif isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
    return found


def test_libraries_of_tests_are_used_where_patients_are_counted():
    used = {name: sorted(filter(TESTING.match, imports(tree))) for name, tree in modules()}
    unknown = {name: found for name, found in used.items() if found and name not in UNITS}
    assert not unknown, f"say in UNITS what these modules count as replicates: {unknown}"
    assert {"estimates", "model_composition"} <= {name for name, found in used.items() if found}


def test_modules_that_test_read_no_cells():
    statistics = {*UNITS, "permutation", "freedman_lane", "contrast_tests", "contrast_engine", "compare_values"}
    reading = {
        name: sorted(filter(CELLS.match, imports(tree)))
        for name, tree in modules()
        if name in statistics and any(map(CELLS.match, imports(tree)))
    }
    assert not reading


def test_no_module_asks_a_library_for_p_values_of_cells():
    named = {}
    for name, tree in modules():
        words = {node.attr for node in ast.walk(tree) if isinstance(node, ast.Attribute)}
        words |= {node.id for node in ast.walk(tree) if isinstance(node, ast.Name)}
        words |= {alias.name for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) for alias in node.names}
        named[name] = sorted(filter(CALLS.fullmatch, words))
    assert {name: words for name, words in named.items() if words} == {}


def test_every_p_value_of_a_run_comes_from_at_most_its_patients(tiny):
    assert tiny.code == 0, tiny.text[-3000:]
    patients = set(tiny.table("check_inputs/design.tsv")["patient"])
    tables = {path: pd.read_csv(path, sep="\t") for path in p_tables(tiny.results)}
    reach = pd.concat([table[["contrast", "min_p"]] for table in tables.values() if "min_p" in table])
    least = reach.groupby("contrast")["min_p"].min()
    assert (least > 1 / 2 ** len(patients)).all()
    for path, table in tables.items():
        name = path.relative_to(tiny.results)
        if {"n_a", "n_b"} <= set(table):
            assert (table[["n_a", "n_b"]].sum(axis=1) <= len(patients)).all(), name
        elif "patient" in table:
            assert set(table["patient"]) <= patients, name
        elif "n" in table:
            assert (table["n"].dropna() <= len(patients)).all(), name
        else:
            # Without a number of patients, no p may be smaller than theirs can make it.
            known = table.dropna(subset="p")
            assert (known["p"] >= known["contrast"].map(least) * (1 - 1e-6)).all(), name


def p_tables(results):
    """Return the tables of a run that hold p values."""
    for path in sorted([*results.rglob("*.tsv"), *results.rglob("*.tsv.gz")]):
        columns = pd.read_csv(path, sep="\t", nrows=0).columns
        if any(P_COLUMN.fullmatch(column) for column in columns):
            yield path


def p_values(table):
    return table.sort_values(["parent", "feature"])["p"].to_numpy(dtype=float)


def test_more_cells_of_the_same_patients_are_no_more_evidence():
    """Twenty times the cells in the same shares: the p values stay, where a test of cells would find everything."""
    cohort, layer = make_cohort(), LAYERS["composition"]
    table = simulate_composition(np.random.default_rng(1), cohort, 0.0)
    few = p_values(compared(layer, table, cohort, EXACT))
    many = p_values(compared(layer, table.assign(cells=20 * table["cells"]), cohort, EXACT))
    np.testing.assert_allclose(few, many, atol=0.02)
    assert np.median(cells_as_replicates(table.assign(cells=20 * table["cells"]), cohort)) < 1e-6


def test_more_reads_of_the_same_patients_are_no_more_evidence():
    cohort = make_cohort()
    sums = simulate_expression(np.random.default_rng(1), cohort, 0.0)
    p = [
        compared_expression(each, cohort, EXACT)["genes"].set_index("gene")["p"]
        for each in (sums, replace(sums, counts=20 * sums.counts))
    ]
    shared = p[0].index.intersection(p[1].index)
    assert len(shared) > 300
    few, many = p[0][shared], p[1][shared]
    # The count added before the logarithm weighs less in deeper sums; nothing else differs.
    assert np.corrcoef(few, many)[0, 1] > 0.95
    assert abs((few <= 0.05).mean() - (many <= 0.05).mean()) < 0.02


def cells_as_replicates(table, cohort):
    """Return the p value per subset of a test that takes the pooled cells for independent."""
    from scipy import stats

    known = table.merge(cohort.design[["sample", "response", "visit"]], on="sample")
    inside = known.pivot_table("cells", "subset", ["response", "visit"], aggfunc="sum")
    outside = inside.sum() - inside
    sign = np.array([1 if group == "responder" else -1 for group, _ in inside.columns])
    sign = sign * np.array([1 if visit == "after" else -1 for _, visit in inside.columns])
    odds = (np.log(inside / outside) * sign).sum(axis=1)
    error = np.sqrt((1 / inside + 1 / outside).sum(axis=1))
    return 2 * stats.norm.sf(np.abs(odds / error))


@pytest.mark.slow
def test_what_counting_cells_would_find_in_null_cohorts(science):
    cohorts = science.replicates(quick=100)
    rng, cohort = np.random.default_rng(seed_of(3, "cells as replicates")), make_cohort()
    p = [cells_as_replicates(simulate_composition(rng, cohort, 0.0), cohort) for _ in range(cohorts)]
    what = "share of p <= 0.05 without an interaction if cells were replicates: the error that patients as unit avoid"
    science.row("cells_as_replicates/avoided", what, (np.concatenate(p) <= 0.05).mean(), 0.3, None, cohorts)
