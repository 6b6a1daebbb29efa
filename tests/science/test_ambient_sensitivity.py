"""Ambient RNA that changes with treatment: genes that only leak are told, and genes of the cells' own are kept."""

import numpy as np
import pytest
from expression_tables import COMPARE, TESTING, contrast
from science.leaking_sums import CONTROLS, GENES, LEAKING, leaking_sums

from immune_landscape.compare_expression import compare_expression
from immune_landscape.seeds import seed_of

SETTINGS = COMPARE | {"ambient_controls": CONTROLS, "top": len(GENES), "normalisation": "tmm"}
USUAL = 0.02
"""Share that leaks in all samples but the later ones of responders."""


def ambient_tables(name, cohorts, **leak):
    for number in range(cohorts):
        sums, design = leaking_sums(usual=USUAL, seed=seed_of(7, name, str(number)), **leak)
        found = compare_expression(sums, design, [contrast()], TESTING._replace(null_draws=20), 1, **SETTINGS)
        yield found["ambient"].set_index("gene"), found["genes"].set_index("gene")


@pytest.mark.slow
def test_genes_that_leak_are_told_from_those_that_rise(science):
    cohorts = science.replicates(full=200, quick=15)
    leaked, own, bound = [], [], []
    for ambient, genes in ambient_tables("more", cohorts, later=0.15):
        found = [gene for gene in LEAKING if genes.loc[gene, "fdr"] <= COMPARE["fdr"]]
        leaked += ambient.loc[found, "depends_on_ambient"].tolist()
        own.append(bool(ambient.loc["GZMB", "depends_on_ambient"]))
        bound.append(ambient["subset_ambient_share"].iloc[0])
    assert len(leaked) > 1.5 * cohorts
    what = f"share of genes found that only leak (2 to 15 % in responders) marked so, {len(leaked)} genes"
    science.row("ambient/leaking", what, np.mean(leaked), 0.95, None, cohorts)
    what = "share of cohorts where a planted gene of the cells' own (log fold 1.2) is called ambient"
    science.row("ambient/own", what, np.mean(own), None, 0.05, cohorts)
    what = f"median bound on the ambient share of a sum of which {USUAL:.0%} leaked in most samples"
    science.row("ambient/bound", what, np.median(bound), USUAL, 2 * USUAL, cohorts)


@pytest.mark.slow
def test_without_more_ambient_rna_genes_of_the_cells_own_are_kept(science):
    cohorts = science.replicates(full=200, quick=15)
    own = [
        bool(ambient.loc["GZMB", "depends_on_ambient"]) for ambient, _ in ambient_tables("same", cohorts, later=USUAL)
    ]
    what = "share of cohorts without a change of ambient RNA where a planted gene is called ambient"
    science.row("ambient/false", what, np.mean(own), None, 0.05, cohorts)
