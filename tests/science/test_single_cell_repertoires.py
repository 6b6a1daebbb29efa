"""Receptors of single cells: published counts and scirpy's clonotypes, found by the workflow's own code."""

from itertools import product

import pandas as pd
import pytest
from clones import define_with_scirpy, receptors_of, same_partition, settings_of
from datasets import shared_data

from immune_landscape.check_receptors import check_receptors
from immune_landscape.define_clonotypes import assign_clonotypes, define_clonotypes
from immune_landscape.receptor_chains import read_chains

# Counted with scirpy 0.22 on the contig file alone.
CATEGORIES = {
    "single pair": 2156,
    "orphan VDJ": 670,
    "extra VJ": 171,
    "no IR": 164,
    "orphan VJ": 108,
    "extra VDJ": 80,
    "two full chains": 11,
    "multichain": 4,
    "ambiguous": 0,
}
# scirpy's own defaults of define_clonotypes, as our settings.
SCIRPY = settings_of("define_clonotypes") | {
    "same_v_gene": False,
    "same_j_gene": False,
    "remove_multichain": False,
}
LARGEST = [17, 10, 7, 7, 7]


def sizes_of(table):
    return table.loc[table["has_receptor"], "clonotype"].value_counts()


def test_chain_categories_and_clonotypes_of_a_healthy_donor(science):
    receptors = receptors_of("pbmc5p")
    table, chain_qc = define_clonotypes(receptors, **SCIRPY)
    found = chain_qc.set_index("chain_pairing")["cells"]
    wrong = (found - pd.Series(CATEGORIES)).abs().sum()
    total = sum(CATEGORIES.values())
    what = f"barcodes in another chain category than scirpy's, of {total:,}"
    science.row("repertoire/pbmc5p_chains", what, int(wrong), 0, 0, len(found))
    sizes = sizes_of(table)
    science.row("repertoire/pbmc5p_clonotypes", "clonotypes", len(sizes), 3008, 3008, int(sizes.sum()))
    assert sizes.sum() == 3200
    assert sizes.head(5).tolist() == LARGEST
    paired, _ = define_clonotypes(receptors, **SCIRPY | {"paired_only": True, "remove_multichain": True})
    sizes = sizes_of(paired)
    what = "clonotypes of cells with both chains"
    science.row("repertoire/pbmc5p_paired_clonotypes", what, len(sizes), 2257, 2257, int(sizes.sum()))
    assert sizes.sum() == 2418


@pytest.mark.slow
@pytest.mark.parametrize("cohort", ["pbmc5p", "zhao2021", "wu2020"])
def test_clonotypes_are_scirpys_under_any_definition(science, cohort):
    receptors, other = receptors_of(cohort), 0
    chains = read_chains(receptors)
    definitions = [*product(("all", "any", "VJ", "VDJ"), ("primary_only", "any", "all"))]
    for at, (arms, dual) in enumerate(definitions):
        compared = {"sequence": ("nt", "aa")[at % 2], "same_v_gene": at % 3 != 0, "same_j_gene": at % 4 < 2}
        definition = {"receptor_arms": arms, "dual_ir": dual, **compared}
        table = assign_clonotypes(chains, **definition, paired_only=False, remove_multichain=False)
        usable = table["has_receptor"].to_numpy()
        assert usable.any()
        other += not same_partition(table.loc[usable, "clonotype"], define_with_scirpy(receptors, usable, **definition))
    what = f"definitions of {len(definitions)} under which cells are put together in another way than by scirpy"
    science.row(f"repertoire/scirpy_partition/{cohort}", what, other, 0, 0, len(definitions))


# Published type -> barcodes with T-cell contigs, cells.
FOREIGN = {"CD4": (245, 262), "CD8": (116, 135), "NK": (23, 62), "B": (6, 165), "Monocytes": (14, 362)}
TYPES = {"CD4": "CD4.T.Cell", "CD8": "CD8.T.Cell", "NK": "NK.Cell", "B": "B.Cell", "Monocytes": "Monocyte"}


def test_receptors_of_cells_that_are_no_t_cells_are_those_published(science):
    """Cells of the published types; a barcode with contigs counts, of which the check tells those that are usable."""
    import anndata

    published = anndata.read_h5ad(shared_data("pbmc_10x_5p_gex_tcr", "gex_1k_counts.h5ad"), backed="r").obs
    minor = published["ccRCC_Minor"].astype(str).set_axis("HD1_baseline:" + published.index)
    clonotypes, _ = define_clonotypes(receptors_of("pbmc5p"), **settings_of("define_clonotypes"))
    apart = 0
    for name, (with_contigs, cells) in FOREIGN.items():
        own = minor.index[minor == TYPES[name]]
        apart += abs(int(own.isin(clonotypes.index).sum()) - with_contigs) + abs(len(own) - cells)
    science.row(
        "repertoire/pbmc5p_foreign", "cells apart from the published overlap by type", apart, 0, 0, len(FOREIGN)
    )
    found = lineages_of(minor, clonotypes).set_index("lineage")
    print(found[["cells", "with_receptor", "share", "paired", "clone_in_t_cells", "evidence"]].to_string())
    by_type = found.rename(index={long: name for name, long in TYPES.items()})["with_receptor"]
    assert all(by_type[name] <= with_contigs for name, (with_contigs, _) in FOREIGN.items())
    assert by_type["CD4"] > 200
    t_cells = found[found["is_t_cell"]]["share"].min()
    others = found[~found["is_t_cell"] & (found["cells"] >= 20)]["share"]
    science.row("repertoire/pbmc5p_foreign_share", "largest share of B cells or monocytes with a usable receptor",
                others.drop("NK.Cell").max(), 0, 0.05, len(others) - 1)  # fmt: skip
    assert t_cells > others.max()


def lineages_of(types, clonotypes):
    """Return the check of receptors with published types for lineages, and no doublets called."""
    cells = pd.DataFrame({"sample": "HD1_baseline", "lineage": types})
    cells["branch"] = cells["lineage"].isin(["CD4.T.Cell", "CD8.T.Cell"]).map({True: "t", False: "other"})
    none = cells[["sample"]].assign(doublet=False, doublet_score=0.0, cutoff="scrublet")
    samples = pd.DataFrame(
        {"sample": ["HD1_baseline"], "patient": ["HD1"], "visit": ["baseline"], "suffix_stripped": [False]}
    )
    return check_receptors(clonotypes, none, cells, samples, **settings_of("check_receptors"))[1]
