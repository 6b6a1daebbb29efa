"""Expression against R: the same sums of counts fitted by limma, edgeR and DESeq2 (results in tests/golden)."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from golden.write_expression_inputs import kang_inputs
from science.kang_sums import CONTRAST as STIMULATED
from science.kang_sums import read_kang
from science.simulated_expression import SETTINGS
from science.simulated_layers import CONTRAST
from scipy import stats

from immune_landscape.compare_expression import compare_expression
from immune_landscape.contrast_tests import ContrastSettings
from immune_landscape.model_expression import model_expression
from immune_landscape.pseudobulk import Pseudobulk
from immune_landscape.set_effects import GeneSets, set_effects

GOLDEN = Path(__file__).resolve().parents[1] / "golden" / "expression"
FACTS = json.loads((GOLDEN / "facts.json").read_text(encoding="utf-8"))
TESTING = ContrastSettings(alpha=0.05, power=0.8, max_exact=100, draws=100, null_draws=100, intervals=False)
SUBSET = "nk_cd56dim"
TOPS = (50, 100)
AGREEMENT = 0.95
"""Share of the first genes whose sign must be that of R (the standard of the project)."""


def golden(name):
    return pd.read_csv(GOLDEN / f"{name}.tsv", sep="\t")


def md5(data):
    return hashlib.md5(data, usedforsecurity=False).hexdigest()


@pytest.fixture(scope="module")
def simulated():
    counts = pd.read_csv(GOLDEN / "simulated_counts.tsv", sep="\t", index_col="gene")
    samples = pd.read_csv(GOLDEN / "simulated_samples.tsv", sep="\t", dtype=str)
    profiles = pd.DataFrame({"sample": samples["sample"], "subset": SUBSET, "cells": 100})
    sums = Pseudobulk(profiles, counts.index, counts[samples["sample"]].to_numpy().T)
    design = samples.assign(tissue="blood", batch="b1")
    return sums, design, compare_expression(sums, design, [CONTRAST], TESTING, 0, **SETTINGS)["genes"]


@pytest.fixture(scope="module")
def counted(simulated):
    """Return what PyDESeq2 finds in all genes, by the nested paired design."""
    sums, design, genes = simulated
    settings = {"branches": [SUBSET], "top": max(TOPS), "max_genes": len(genes)}
    return model_expression(sums, design, [CONTRAST], genes, **settings)["models"]


@pytest.mark.parametrize("name", ["simulated_counts.tsv", "simulated_samples.tsv", "simulated_sets.tsv"])
def test_r_has_read_what_is_compared(name):
    assert md5((GOLDEN / name).read_bytes()) == FACTS["inputs_md5"][name]


def test_r_has_read_the_same_cells_of_kang():
    for name, text in kang_inputs().items():
        assert md5(text.encode()) == FACTS["inputs_md5"][name], name


def test_the_moderated_t_is_that_of_limma(science, simulated):
    """The whole road: genes chosen, libraries scaled by TMM, log counts per million, variances moderated."""
    mine, limma = simulated[2].set_index("gene"), golden("limma_moderated_t").set_index("gene")
    assert set(mine.index) == set(limma.index)
    both = mine.loc[limma.index]
    gap = (both["t"] - limma["t"]).abs().max()
    what = f"largest difference from limma {FACTS['versions']['limma']}, moderated t of {len(limma)} paired differences"
    science.row("golden/limma_moderated_t", what, gap, None, 1e-6, len(limma))
    assert both["effect"].to_numpy() == pytest.approx(limma["effect"].to_numpy(), abs=1e-7)
    assert both["p"].to_numpy() == pytest.approx(limma["p"].to_numpy(), rel=1e-6)


def agreement(table, effects, folds):
    """Return the smallest share of equal signs among the first genes, over the lengths of `TOPS`."""
    same = np.sign(effects.loc[table["gene"]].to_numpy()) == np.sign(folds.to_numpy())
    return min(same[:top].mean() for top in TOPS)


def kang_agreement(column):
    """Return the smallest share of equal signs in a cluster, and the clusters compared."""
    genes = compare_expression(*read_kang(), [STIMULATED], TESTING, 0, **SETTINGS)["genes"]
    shares = []
    for cluster, table in golden("kang").groupby("subset"):
        own = genes[genes["subset"] == cluster].set_index("gene")["effect"]
        first = table.sort_values(f"{column}_p", kind="stable").head(max(TOPS))
        shares.append(agreement(first, own, first[f"{column}_fold"]))
    return min(shares), len(shares)


@pytest.mark.parametrize(("name", "package"), [("edger", "edgeR"), ("voom", "limma"), ("deseq2", "DESeq2")])
def test_signs_of_the_nested_paired_design_are_those_of_r(science, simulated, counted, name, package):
    table, mine = golden(name), simulated[2].set_index("gene")
    folds = counted.set_index("gene")["log2_fold"]
    shares = {"moderated t": agreement(table, mine["effect"], table["log2_fold"])}
    shares["PyDESeq2"] = agreement(table, folds, table["log2_fold"])
    told = ", ".join(f"{which} {share:.3f}" for which, share in shares.items())
    what = f"least share of signs of {name} ({package} {FACTS['versions'][package]}) in its first {TOPS} genes: {told}"
    science.row(f"golden/{name}_sign", what, min(shares.values()), AGREEMENT, None, max(TOPS))
    rank = stats.spearmanr(table["log2_fold"], mine.loc[table["gene"], "effect"]).statistic
    assert rank > 0.95
    by_p = stats.spearmanr(table["p"], mine.loc[table["gene"], "p"]).statistic
    print(f"{name}: rank correlation of folds {rank:.3f}, of p {by_p:.3f}")
    assert by_p > 0.9


@pytest.mark.parametrize("name", ["edger", "voom"])
def test_signs_in_kang_are_those_of_r(science, name):
    share, clusters = kang_agreement(name)
    what = f"least share of signs of {name} in its first {TOPS} genes, {clusters} clusters of two stimulated donors"
    science.row(f"golden/kang_{name}_sign", what, share, AGREEMENT, None, clusters)


def test_folds_of_pydeseq2_are_those_of_deseq2(science, counted):
    table = golden("deseq2").set_index("gene")
    mine = counted.set_index("gene").loc[table.index]
    gap = (mine["log2_fold"] - table["log2_fold"]).abs().max()
    what = f"largest difference of a log2 fold from DESeq2 {FACTS['versions']['DESeq2']}, nested paired design"
    science.row("golden/deseq2_fold", what, gap, None, 0.05, len(table))
    assert mine["se"].to_numpy() == pytest.approx(table["se"].to_numpy(), rel=0.2)


def test_sets_of_genes_go_where_fry_and_camera_say(science, simulated):
    genes, table = simulated[2].set_index("gene"), golden("gene_sets").set_index("set")
    members = pd.read_csv(GOLDEN / "simulated_sets.tsv", sep="\t").groupby("set")["gene"].agg(set)
    member = np.array([genes.index.isin(members[name]) for name in table.index], dtype=float)
    assert member.sum(axis=1).tolist() == table["genes"].tolist()
    rows = [{"signature": name, "genes": 20, "missing": 0, "status": "tested", "note": ""} for name in table.index]
    sets = GeneSets(rows, member / member.sum(axis=1, keepdims=True))
    found = set_effects(genes["t"].to_numpy(), sets, np.zeros((1, len(rows))), exact=True).set_index("signature")
    same = found["direction"] == table["fry_direction"].str.lower()
    what = f"share of {len(same)} made-up sets whose direction is that of fry (limma {FACTS['versions']['limma']})"
    science.row("golden/gene_set_direction", what, same.mean(), 1.0, None, len(same))
    clear = table["camera_p"] < 0.2
    assert clear.sum() >= 3
    expected = table.loc[clear, "camera_direction"].str.lower()
    assert found.loc[clear, "direction"].tolist() == expected.tolist()
    assert (np.sign(found.loc[clear, "rank_shift"]) == np.where(expected == "up", 1, -1)).all()
