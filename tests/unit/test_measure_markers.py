import anndata
import numpy as np
import pandas as pd
import pytest
import scipy.sparse as sp

from immune_landscape.cell_types import read_markers
from immune_landscape.measure_markers import COLUMNS, marker_genes, measure_markers

GENES = ["CCR7", "LEF1", "FOXP3", "IL2RA", "MKI67", "ACTB", "CD3D", "NKG7", "ZEB2"]


@pytest.fixture
def data():
    rng = np.random.default_rng(3)
    cells = [f"s:{at}" for at in range(60)]
    counts = anndata.AnnData(sp.csr_matrix(rng.poisson(1.0, (60, len(GENES)))), obs=pd.DataFrame(index=cells))
    counts.var_names = GENES
    subset = np.array(["cd4_tn", "treg", "b"])[np.arange(60) % 3]
    lineage = np.where(subset == "b", "b", "t")
    labels = pd.DataFrame(
        {
            "sample": "s",
            "lineage": lineage,
            "branch": np.where(subset == "b", "other", "t"),
            "subset": subset,
        },
        index=cells,
    )
    # Labels in another order than the counts, and one cell that the counts lack.
    extra = pd.DataFrame({"sample": "s", "lineage": "t", "branch": "t", "subset": "treg"}, index=["s:absent"])
    return counts, pd.concat([labels.sample(frac=1, random_state=0), extra])


def test_means_and_shares_are_those_of_dense_arithmetic(data):
    counts, labels = data
    dots = measure_markers(counts, labels, "t", n_genes=4).set_index(["subset", "marker_of", "gene"])
    dense = pd.DataFrame(counts.X.toarray(), index=counts.obs_names, columns=GENES).astype(float)
    normal = np.log1p(dense.div(dense.sum(axis=1), axis=0) * 1e4)
    for subset, marker_of, gene in (
        ("treg", "treg", "FOXP3"),
        ("cd4_tn", "treg", "IL2RA"),
        ("treg", "cd4_tn", "CCR7"),
    ):
        members = [cell for cell in labels.index[labels["subset"] == subset] if cell in dense.index]
        row = dots.loc[(subset, marker_of, gene)]
        assert row["mean"] == pytest.approx(normal.loc[members, gene].mean(), rel=1e-6)
        assert row["share"] == pytest.approx((dense.loc[members, gene] > 0).mean())
        assert row["cells"] == len(members) == 20


def test_only_subsets_present_and_genes_measured_are_listed(data):
    dots = measure_markers(*data, "t", n_genes=4)
    assert list(dots.columns) == COLUMNS
    assert list(dict.fromkeys(dots["subset"])) == ["cd4_tn", "treg"]
    assert set(dots["gene"]) <= set(GENES)
    assert len(dots) == 2 * len(dots[["marker_of", "gene"]].drop_duplicates())


def test_branch_all_takes_lineages(data):
    dots = measure_markers(*data, "all", n_genes=2)
    assert set(dots["subset"]) == {"t", "b"}


def test_no_marker_measured_gives_an_empty_table(data):
    counts, labels = data
    dots = measure_markers(counts[:, ["ACTB"]], labels, "t", n_genes=4)
    assert dots.empty
    assert list(dots.columns) == COLUMNS


def test_an_empty_cell_counts_as_zero(data):
    counts, labels = data
    empty = counts.copy()
    empty.X[0, :] = 0
    dots = measure_markers(empty, labels, "t", n_genes=4)
    assert np.isfinite(dots["mean"]).all()


def test_anchor_comes_first_and_sets_take_turns():
    assert marker_genes("nk_c4_zeb2", 4) == ["ZEB2"]
    markers = read_markers()["broad"]
    first = [markers[name]["genes"][0] for name in ("T_cell", "CD4_T", "CD8_T", "gdT")]
    assert marker_genes("t", 4) == first
    assert marker_genes("t_unassigned", 4) == []
    assert marker_genes("nobody", 4) == []
